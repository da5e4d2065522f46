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
