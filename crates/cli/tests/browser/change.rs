//! What if; what is written; what differs.

use crate::oracle::Oracle;
use crate::studio::Page;
use serde_json::json;

pub(crate) fn what_if(page: &Page<'_>) {
    let loss = Oracle::after(500).read("anna");
    page.go("whatif?text=anna&step=500");
    page.until("the loss", || page.count("#loss b") == 1 && page.number("#loss b", Some("title")) == loss);
    page.click("#silence-0-2");
    page.until("what follows", || page.count("#loss-after") == 1);
    let changed = page.number("#loss-after", Some("title"));
    assert_eq!(page.number("#loss-before", Some("title")), loss);
    assert_ne!(changed, loss);
    // A silent head and a row of zeros where it writes into what was found are the same.
    let answer = page.post("/runs/microgpt-1/look", json!({"step": 500, "text": "anna", "edits": [{"kind": "head", "layer": 0, "head": 2}], "want": [{"name": "layer0.attn_found"}]}));
    assert_eq!(answer["loss"].as_f64(), Some(changed));
    assert!((0..5).all(|row| (8..12).all(|col| answer["windows"][0]["values"][row][col] == 0.0)));
    page.settle();
    page.shot("whatif");
    // As it was without the edit, and what came of it.
    let before = Oracle::after(500).at("anna", "logits");
    let after = page.post("/runs/microgpt-1/look", json!({"step": 500, "text": "anna", "edits": [{"kind": "head", "layer": 0, "head": 2}], "want": [{"name": "logits"}]}));
    let after = after["windows"][0]["values"][4][13].as_f64().unwrap();
    let was = before[4 * 27 + 13];
    for (mode, expected) in [("difference", after - was), ("before", was), ("after", after)] {
        page.click(&format!("#mode-{mode}"));
        page.js(
            "document.querySelector(`.block[data-name='logits']`).scrollIntoView({block: 'center'})",
            json!([]),
        );
        page.settle();
        assert_eq!(page.point_at("logits", [4, 13], [5, 27]), expected, "{mode}");
    }
    page.click("#mode-difference");
    page.click("#silence-neuron");
    page.until("two edits", || page.count("#edits li") == 2);
    page.click("#undo");
    page.until("the first edit again", || page.number("#loss-after", Some("title")) == changed);
    page.click("#undo");
    page.until("nothing changed", || {
        page.number("#loss b", Some("title")) == loss && page.count("#loss-after") == 0
    });
    page.click("#redo");
    page.until("the edit again", || {
        page.count("#loss-after") == 1 && page.number("#loss-after", Some("title")) == changed
    });
    page.click("#reset");
    // A number of one's own: what the page shows of it is what was typed.
    page.go("whatif?text=anna&step=500&edit=layer0.attn_wo:3:5");
    page.shows(".editor", "layer0.attn_wo[3, 5]");
    page.settle();
    page.fill("#edit-value", "0.75");
    page.click("#edit-set");
    page.until("what follows", || page.count("#loss-after") == 1);
    let answer = page.post(
        "/runs/microgpt-1/look",
        json!({"step": 500, "text": "anna", "want": [],
        "edits": [{"kind": "weight", "name": "layer0.attn_wo", "row": 3, "col": 5, "value": 0.75}]}),
    );
    assert_eq!(answer["loss"].as_f64(), Some(page.number("#loss-after", Some("title"))));
    page.fill("#borrow-text", "emma");
    page.click("#borrow");
    page.until("two edits", || page.count("#edits li") == 2);
    page.click("#reset");
}

pub(crate) fn generate(page: &Page<'_>) {
    page.go("write?step=500");
    page.until("what may come", || page.count("#view .bar") == 27);
    page.settle();
    let first = page.post("/runs/microgpt-1/next", json!({"step": 500, "tokens": [], "most": 200}));
    let shown = page.attribute("#view .bar", "title");
    assert!(shown.starts_with(&first["tokens"][0]["probability"].to_string()), "{shown}");
    let logit = shown.split("logit ").nth(1).unwrap().replace('\u{2212}', "-").parse::<f64>().unwrap();
    let best = first["tokens"][0]["token"].as_u64().unwrap() as usize;
    assert_eq!(logit, Oracle::after(500).at("anna", "logits")[best], "{shown}");
    page.click("#view .bar");
    page.until("a letter", || page.count("#writing button") == 2);
    page.settle();
    page.click("#write-one");
    page.until("another letter", || page.count("#writing button") == 3);
    page.settle();
    // The three likeliest alone.
    page.js(
        "const s = document.getElementById('top_k'); s.value = 3; s.dispatchEvent(new Event('input'))",
        json!([]),
    );
    page.until("three that may come", || page.count("#view .bar:not(.out)") == 3);
    page.js(
        "const s = document.getElementById('top_k'); s.value = 0; s.dispatchEvent(new Event('input'))",
        json!([]),
    );
    page.click("#write-back");
    page.until("a letter less", || page.count("#writing button") == 2);
    page.settle();
    // Two branches: whatever chance took, these are others.
    for nth in [2, 3] {
        page.click(&format!("#view .bar:nth-child({nth})"));
        page.until("a letter more", || page.count("#writing button") == 3);
        page.click("#write-back");
        page.until("a letter less", || page.count("#writing button") == 2);
        page.settle();
    }
    page.until("both branches", || page.count(".tree .leaf:not(.ghost)") >= 4);
    page.click("#write-ten");
    page.until("ten samples", || page.count("#written li") == 10);
    page.settle();
    page.shot("write");
    page.click("#write-again");
    page.until("the start", || page.count("#writing button") == 1);
    page.settle();
    page.click("#write-on");
    page.until("a few letters", || page.count("#writing button") >= 4);
    page.go("train");
}

pub(crate) fn compare(page: &Page<'_>) {
    page.go("compare?text=anna");
    page.shows("#verdict-compare", "The first number that parts");
    let [a, b] = ["#loss-a", "#loss-b"].map(|css| page.number(css, Some("title")));
    assert_eq!((a, b), (Oracle::after(0).read("anna"), Oracle::after(500).read("anna")));
    page.settle();
    page.shot("compare");
    let [then, now] = [0, 500].map(|step| Oracle::after(step).at("anna", "layer0.v")[2 * 16 + 7]);
    for (mode, expected) in [("a", then), ("b", now), ("difference", now - then)] {
        page.click(&format!("#cmp-{mode}"));
        page.js(
            "document.querySelector(`.block[data-name='layer0.v']`).scrollIntoView({block: 'center'})",
            json!([]),
        );
        page.settle();
        assert_eq!(page.point_at("layer0.v", [2, 7], [5, 16]), expected, "{mode}");
    }
    // The same beside the same: nothing differs.
    page.go("compare?text=anna&as=77&bs=77");
    page.shows("#verdict-compare", "Nothing differs");
    page.go("compare?text=anna&as=77&bs=78");
    // The parameters come first, and of them those that this step moved.
    let [mut before, mut after] = [77, 78].map(Oracle::after);
    let places = (0..27).flat_map(|row| (0..16).map(move |col| (row, col)));
    let moved = places
        .map(|(row, col)| (row, col, before.weight("wte", row, col).0, after.weight("wte", row, col).0))
        .find(|(_, _, a, b)| a != b);
    let (row, col, ..) = moved.expect("a letter that was read");
    page.shows("#first-parted", &format!("wte[{row}, {col}]"));
}
