//! `microgpt bench` works, and says what it measured. How fast it is, is no test's business.

use crate::place::Place;

#[test]
fn quick_figures_are_whole_and_make_sense() {
    let place = Place::new();
    let json = place.stdout("bench --quick --json --shape tiny,tiny-16");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let peak = report["machine"]["peak_gflops"].as_f64().unwrap();
    assert!(peak > 0.5, "{peak}");
    let rows = report["results"].as_array().unwrap();
    let names: Vec<_> =
        rows.iter().map(|row| (row["shape"].as_str().unwrap(), row["engine"].as_str().unwrap())).collect();
    assert_eq!(names, [("tiny", "scalar"), ("tiny", "fast"), ("tiny-16", "scalar"), ("tiny-16", "fast")]);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"));
        for name in [
            "us_per_step",
            "us_per_step_best",
            "tokens_per_second",
            "gflops",
            "decoded_per_second",
            "decoded_at_once_per_second",
        ] {
            assert!(number(name) > 0.0, "{name}: {row}");
        }
        assert!((number("us_per_step") / number("us_per_document") - number("batch_size")).abs() < 1e-6);
        // A name is some 7 tokens, each of which takes some 20,000 operations and more.
        let flops = number("flops_per_step") / number("batch_size");
        assert!((1e5..1e6).contains(&flops), "{flops}");
        let parts = row["parts"].as_array().unwrap();
        let backward = parts.iter().filter(|part| part["backward_us"].as_f64().unwrap() > 0.0).count();
        assert!(parts.len() > 3 && backward > 1, "{parts:?}");
    }
    let table = place.stdout("bench --quick --shape tiny --engine fast");
    assert!(table.contains("GFLOP/s") && table.contains("Where the time goes: tiny, fast engine"), "{table}");
    let (code, error) = place.error("bench --shape huge");
    let expected = "--shape: expected one of tiny, tiny-16, shakespeare-char, bigger, found \"huge\"";
    assert_eq!((code, error.as_str()), (2, expected));
}

#[test]
fn what_many_machines_would_make_of_it() {
    let place = Place::new();
    let json = place.stdout("bench --scaling --quick --json --shape tiny-16 --latency-us 100 --gbit 8");
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let scaling = &report["scaling"][0];
    assert_eq!(
        scaling["network"],
        serde_json::json!({ "latency_us": 100.0, "message_us": 3.0, "gbit": 8.0 })
    );
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{value}"));
    let rows = scaling["ranks"].as_array().unwrap();
    assert_eq!(rows.len(), 13);
    for (power, row) in rows.iter().enumerate() {
        let n = f64::from(1 << power);
        assert_eq!(number(&row["ranks"]), n);
        let tokens = n * number(&scaling["tokens_per_rank"]);
        let time = number(&row["ms_per_step"]) / 1e3;
        assert!((number(&row["tokens_per_second"]) * time / tokens - 1.0).abs() < 1e-9, "{row}");
        // The batch of 16 cannot be shared by more.
        assert_eq!(row["batch_of_one"].is_null(), n > 16.0);
        // Four messages to each of the others, at the least.
        assert!(number(&row["exchange"]) * time >= 4.0 * (n - 1.0) * 3e-6, "{row}");
    }
    assert!((number(&rows[0]["efficiency"]) - 1.0).abs() < 1e-9 && number(&rows[0]["exchange"]) == 0.0);
    assert!(number(&rows[12]["efficiency"]) < 0.01, "a name is learnt sooner than a message is there");
    let table = place.stdout("bench --scaling --quick --shape tiny");
    assert!(
        table.contains("20.0 us, each further message 3.0 us, 25.0 Gbit/s (--latency-us, --gbit)"),
        "{table}"
    );
    let (code, error) = place.error("bench --latency-us 5");
    assert!(code == 2 && error.contains("--scaling"), "{error}");
    let (code, error) = place.error("bench --scaling --gbit 0");
    assert!(code == 2 && error.contains("expected a number of more than 0"), "{error}");
}
