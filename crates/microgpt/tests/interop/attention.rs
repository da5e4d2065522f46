//! Attention and positions: `tests/interop/attention.py`.

use crate::golden::Golden;
use crate::on_each_engine;
use microgpt::sight::Sight;
use microgpt::tensor::Tensor;

/// Holds what `found` makes of q, k, v (the columns of table `x`) to the tables of that name.
fn hold(
    golden: &Golden,
    name: &str,
    x: &str,
    sight: Sight,
    found: impl for<'e> Fn([Tensor<'e>; 3], Sight) -> Tensor<'e>,
) {
    let (c, kv) = (golden.get("dy").cols, golden.get("dy").cols / sight.group());
    let numbers = on_each_engine(golden.get(x), &[], golden.get("dy"), &|_, x, _| {
        found([x.columns(0, c), x.columns(c, kv), x.columns(c + kv, kv)], sight)
    });
    for (engine, numbers) in numbers {
        golden.get(&format!("{name}_y")).hold(&numbers[0], engine);
        golden.get(&format!("{name}_d")).hold(&numbers[1], engine);
    }
}

#[test]
fn attention_is_pytorchs() {
    let golden = Golden::read("attention");
    let &[heads, kv_heads, window, base, softcap] = &golden.get("sizes").numbers[..] else { panic!("sizes") };
    let plain = Sight::plain(heads as usize);
    let (kv_heads, window) = (kv_heads as u32, window as u32);
    let grouped = Sight { kv_heads, ..plain };
    for (name, x, sight) in [
        ("plain", "qkv", plain),
        ("window", "qkv", Sight { window, ..plain }),
        ("alibi", "qkv", Sight { alibi: true, ..plain }),
        ("softcap", "qkv", Sight { softcap, ..plain }),
        ("grouped", "few", grouped),
    ] {
        hold(&golden, name, x, sight, |[q, k, v], sight| q.attention(k, v, sight, 0));
    }
    for (name, x, sight) in [("rotary", "qkv", plain), ("all", "few", Sight { window, softcap, ..grouped })] {
        hold(&golden, name, x, sight, |[q, k, v], sight| {
            let k = k.rotate(sight.kv_heads as usize, base);
            q.rotate(sight.heads(), base).attention(k, v, sight, 0)
        });
    }
    for (name, x, sight) in [("linear", "qkv", plain), ("linear_grouped", "few", grouped)] {
        hold(&golden, name, x, sight, |[q, k, v], sight| {
            q.feature().linear_attention(k.feature(), v, sight, 0)
        });
    }
}

#[test]
fn sinusoids_are_pytorchs() {
    let golden = Golden::read("attention");
    let wanted = golden.get("sinusoids");
    let found = on_each_engine(golden.get("dy"), &[], golden.get("dy"), &|engine, x, _| {
        // What is gathered, taken away again: the rest is the fixed rows.
        x.affine(0.0, 0.0) + Tensor::sinusoids(engine, wanted.rows, wanted.cols)
    });
    for (engine, numbers) in found {
        wanted.hold(&numbers[0], engine);
    }
}
