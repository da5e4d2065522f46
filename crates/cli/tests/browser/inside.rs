//! What was computed: every number that is pointed at, where it came from, and how.

use crate::oracle::Oracle;
use crate::studio::Page;
use serde_json::json;

const AT: usize = 120;

pub(crate) fn every_number_that_is_pointed_at(page: &Page<'_>) {
    let mut oracle = Oracle::after(AT);
    let loss = oracle.read("anna");
    page.go("inside");
    page.fill("#text", "anna");
    page.go(&format!("inside?step={AT}&text=anna"));
    page.until("the loss of the text", || {
        page.count("#loss b") == 1 && page.number("#loss b", Some("title")) == loss
    });
    assert_eq!(page.count("#tokens .token"), 5);
    page.settle();
    page.shot("inside");
    let mut seen = 0;
    for name in [
        "token",
        "embedded",
        "layer0.q",
        "layer0.k",
        "layer0.v",
        "layer0.attn_found",
        "layer0.stream_mid",
        "layer0.mlp_hidden",
        "layer0.mlp_active",
        "layer0.stream",
        "logits",
    ] {
        let (values, _, cols) = oracle.tensor(name);
        page.until(name, || page.count(&format!(".block[data-name='{name}'] .stage")) == 1);
        page.js(
            "document.querySelector(`.block[data-name='${arguments[0]}']`).scrollIntoView({block: 'center'})",
            json!([name]),
        );
        page.settle();
        for (row, col) in [(0, 0), (2, 3), (4, cols - 1), (3, cols / 2)] {
            let found = page.point_at(name, [row, col], [5, cols]);
            assert_eq!(found, values[row * cols + col], "{name}[{row}, {col}]");
            seen += 1;
        }
    }
    // Gradients: the scalar engine's.
    page.click("#show-grad");
    page.settle();
    for name in ["layer0.stream", "layer0.mlp_hidden", "layer0.v", "embedded"] {
        let (_, grads, cols) = oracle.tensor(name);
        page.js(
            "document.querySelector(`.block[data-name='${arguments[0]}']`).scrollIntoView({block: 'center'})",
            json!([name]),
        );
        page.settle();
        for (row, col) in [(0, 1), (1, 5), (4, 2)] {
            assert_eq!(
                page.point_at(name, [row, col], [5, cols]),
                grads[row * cols + col],
                "{name}[{row}, {col}]"
            );
            seen += 1;
        }
    }
    page.shot("inside-gradients");
    page.click("#show-value");
    // The last row of the lens is what the model says.
    let best = page.text(".lens tbody tr:nth-last-child(2) td:last-of-type b");
    assert_eq!(best, page.text(".outgrid .bars .sign"));
    eprintln!("{seen} numbers pointed at, each the library's to the last bit");
}

pub(crate) fn why(page: &Page<'_>) {
    let mut oracle = Oracle::after(AT);
    oracle.read("anna");
    page.go(&format!("inside?step={AT}&text=anna"));
    page.js("document.getElementById('view').scrollTop = 0", json!([]));
    page.settle();
    let (values, grads, cols) = oracle.tensor("layer0.q");
    page.cell("layer0.q", [3, 5], [5, cols], true);
    page.until("the panel", || page.count("#why-value") == 1 && page.text("#why").contains("layer0.q[3, 5]"));
    assert_eq!(page.number("#why-value", None), values[3 * cols + 5]);
    assert_eq!(page.number("#why-grad", None), grads[3 * cols + 5]);
    page.settle();
    page.shot("why");
    // Back to a weight, by the links; its gradient is the scalar engine's.
    page.until("a way back", || page.count("#why-inputs [data-place]") > 0);
    let mut hops = 0;
    while page.count("#life") == 0 {
        let here = page.text(".whyname");
        let weights = page.count("#why-inputs [data-place^='layer0.attn_wq:']");
        page.click(if weights > 0 {
            "#why-inputs [data-place^='layer0.attn_wq:']"
        } else {
            "#why-inputs [data-place]"
        });
        page.until("another number", || page.text(".whyname") != here);
        hops += 1;
        assert!(hops < 12, "no weight behind it");
    }
    let label = page.text(".whyname");
    let (name, place) = label.trim_end_matches(']').split_once('[').unwrap();
    let (row, col) = place.split_once(", ").unwrap();
    let (value, grad) = oracle.weight(name, row.parse().unwrap(), col.parse().unwrap());
    assert_eq!((page.number("#why-value", None), page.number("#why-grad", None)), (value, grad), "{label}");
    page.shows("#life", "What moved it most");
    page.until("the weight's life", || page.count("#life tbody tr") > 0);
    page.settle();
    page.shot("why-weight");
    page.press("\u{e00c}");
    page.until("the panel to close", || page.count("#why[hidden]") == 1);
}

pub(crate) fn step_through(page: &Page<'_>) {
    page.go(&format!("ops?step={AT}"));
    page.until("the list of operations", || page.count("#ops .op") > 20);
    let ops = page.post("/runs/microgpt-1/ops", json!({"step": AT, "batch": true, "from": 0, "count": 1000}));
    assert_eq!(page.count("#ops .op"), ops["total"].as_u64().unwrap() as usize);
    let forward = ops["forward"].as_u64().unwrap() as usize;
    page.click("#op-next");
    page.shows("#op-said", "2 of");
    page.click("#op-next");
    page.click("#op-back");
    page.shows("#op-said", "2 of");
    page.js("document.activeElement.blur()", json!([]));
    page.press("\u{e014}\u{e014}");
    page.shows("#op-said", "4 of");
    page.until("a lit line of microgpt.rs", || page.count(".source .codeline.lit") == 1);
    page.shot("ops");
    // To the first operation of the way back, and to where a gradient has grown.
    page.js("const s = document.getElementById('break-kind'); s.value = 'phase'; s.dispatchEvent(new Event('change'))", json!([]));
    page.fill("#break-text", "backward");
    page.click("#break-run");
    page.shows("#op-said", &format!("{} of", forward + 1));
    page.js("const s = document.getElementById('break-kind'); s.value = 'condition'; s.dispatchEvent(new Event('change'))", json!([]));
    page.fill("#break-text", "norm(grad(layer0.attn_wq)) > 0.0001");
    page.click("#break-add");
    page.click("#break-run");
    page.shows("#break-said", "Stopped at");
    page.until("the way back's lengths", || page.count(".normrow") == 9);
    page.settle();
    page.shot("ops-backward");
    page.until("the graph behind the loss", || page.count(".graph .vertex") > 3);
    page.click("#break-back");
    page.js("document.querySelector('.graphcard').scrollIntoView()", json!([]));
    page.settle();
    page.shot("graph");
    page.click(".graph .vertex:nth-of-type(2)");
    page.until("the panel", || page.count("#why:not([hidden]) #why-value") == 1);
    page.press("\u{e00c}");
}

/// What Step through shows of an operation: its numbers forward, their gradients backward, the graph behind the loss.
pub(crate) fn numbers_of_each_operation(page: &Page<'_>) {
    let mut oracle = Oracle::after(AT);
    let loss = oracle.read("anna");
    page.go(&format!("ops?step={AT}&text=anna&batch=0"));
    page.until("the list of operations", || page.count("#ops .op") > 20);
    for name in ["layer0.q", "layer0.attn_found", "layer0.mlp_active", "logits"] {
        let (values, grads, cols) = oracle.tensor(name);
        for (nth, said, title, numbers) in [
            (0, format!("makes {name}"), name, values),
            (-1, format!("{name} hands its gradient back"), "its gradient", grads),
        ] {
            page.js(
                "[...document.querySelectorAll('#ops .op')].filter((op) => op.lastChild.textContent === arguments[0]).at(arguments[1]).click()",
                json!([name, nth]),
            );
            page.shows("#op-said", &said);
            let css = format!(".opview .heat[aria-label^='{title},'] .stage");
            for (row, col) in [(4, 3), (1, cols - 1)] {
                let at = [(col as f64 + 0.5) / cols as f64, (row as f64 + 0.5) / 5.0];
                page.point(&css, at, false);
                page.shows(".hovertitle", &format!("{title}[{row}, {col}]"));
                let shown = page.number(".hovervalue", None);
                assert_eq!(shown, numbers[row * cols + col], "{said}: [{row}, {col}]");
            }
        }
    }
    page.js("document.querySelector('#ops .op:last-child').click()", json!([]));
    page.until("the length of each gradient", || page.count(".normrow") == 9);
    page.settle();
    for (i, (name, norm)) in oracle.gradient_norms().into_iter().enumerate() {
        let row = format!(".normrow:nth-of-type({})", i + 1);
        assert_eq!(page.text(&format!("{row} .mono")), name);
        assert_eq!(page.number(&format!("{row} .num"), Some("title")), norm, "{name}");
    }
    page.js("document.querySelector('.graphcard').scrollIntoView()", json!([]));
    let (losses, grads, _) = oracle.tensor("losses");
    for (name, value, grad) in [("loss[0, 0]", loss, 1.0), ("losses[2, 0]", losses[2], grads[2])] {
        let vertex = format!(".graph .vertex[aria-label^='{name} = ']");
        page.until(name, || page.count(&vertex) == 1);
        let label = page.attribute(&vertex, "aria-label").replace('\u{2212}', "-");
        let (_, numbers) = label.split_once(" = ").unwrap();
        let (found, slope) = numbers.split_once(", gradient ").unwrap();
        assert_eq!([found, slope].map(|text| text.parse::<f64>().unwrap()), [value, grad], "{name}");
    }
    page.js("document.getElementById('view').scrollTop = 0", json!([]));
}
