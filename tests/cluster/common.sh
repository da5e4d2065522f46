# What the scripts beside this one share. They read it first.

skip() {
    echo "skipped: $1"
    exit 0
}

# Two runs' numbers, to the bit, and their losses; how many tokens a second there were is no part of it.
same() {
    for file in model optimizer; do
        cmp "runs/$1/checkpoints/latest/$file.safetensors" "runs/$2/checkpoints/latest/$file.safetensors"
    done
    cmp <(grep -o '"step":[0-9]*,"loss":[^,]*' "runs/$1/metrics.jsonl") \
        <(grep -o '"step":[0-9]*,"loss":[^,]*' "runs/$2/metrics.jsonl")
}
