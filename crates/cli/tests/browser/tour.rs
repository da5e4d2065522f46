//! The tour, and what holds everywhere: addresses, keys, speed, light and dark, a narrow window.

use crate::access::{focus_is_seen, readable};
use crate::oracle::Oracle;
use crate::studio::{Page, Studio};
use serde_json::json;

pub(crate) const VIEWS: [&str; 7] = ["train", "inside", "ops", "whatif", "write", "compare", "tour"];

pub(crate) fn ten_stops(page: &Page<'_>) {
    page.go("tour?text=anna&step=500");
    for stop in 1..=10 {
        page.shows(".stopcard", &format!("Stop {stop} of 10"));
        page.click("#choice-1");
        page.until("an answer", || page.count("#answer") == 1);
        assert!(page.text("#answer").len() > 40);
        assert_eq!(page.count(".choice.right"), 1);
        // The numbers it speaks of are the library's.
        match stop {
            2 => assert!(page.text("#answer").contains(&format!("{:.4}", Oracle::after(0).read("anna")))),
            9 => assert!(
                page.text("#answer").contains(&format!("From {:.6} to", Oracle::after(500).read("anna")))
            ),
            _ => {}
        }
        page.settle();
        page.shot(&format!("tour-{stop}"));
        if stop < 10 {
            page.click("#tour-next");
        }
    }
}

/// A view can be handed on; back and forward work; keys go from view to view.
pub(crate) fn address_and_keys(page: &Page<'_>) {
    page.go("train?run=microgpt-1&step=10&text=otto");
    page.js("document.activeElement.blur()", json!([]));
    page.press("2");
    page.until("the second view", || page.count(".view-inside") == 1);
    assert_eq!(page.js("return location.hash", json!([])), "#inside?run=microgpt-1&step=10&text=otto");
    page.press("5");
    page.until("the fifth", || page.count(".view-write") == 1);
    page.js("history.back()", json!([]));
    page.until("the second again", || page.count(".view-inside") == 1);
    page.js("history.forward()", json!([]));
    page.until("the fifth again", || page.count(".view-write") == 1);
    page.press("?");
    page.until("help", || page.count("dialog[open]") == 1);
    page.press("\u{e00c}");
    page.until("no help", || page.count("dialog[open]") == 0);
    // A new page at the same address shows the same.
    page.open("about:blank");
    page.open(&format!("{}/#inside?run=microgpt-1&step=10&text=otto", page.url));
    page.shows("#step-now", "10");
    page.until("five letters", || page.count("#tokens .token") == 5);
}

/// How long after a change of the step, or of the text by the keys, a view of the default model is whole again: what was
/// asked is answered, and a frame with it is drawn. A machine that does other things as well takes longer, so it is only told.
pub(crate) fn redraws(page: &Page<'_>) {
    for view in VIEWS {
        let [step, text] = redraw(page, view, "microgpt-1");
        eprintln!(
            "{view}: whole again {step:.0} ms after a change of the step, {text:.0} ms of the text (medians)"
        );
        assert!(step > 0.0 && text > 0.0, "{view}: it stayed as it was");
    }
}

/// The medians, in milliseconds: after changes of the step, and of the text.
pub(crate) fn redraw(page: &Page<'_>, view: &str, run: &str) -> [f64; 2] {
    ["step", "text"].map(|kind| {
        page.go(&format!("{view}?run={run}&step=90&text=anna"));
        page.settle();
        let times = page.later(TIMES, json!([kind]));
        let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|t| t.as_f64().unwrap()).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// Changes something a few times, and watches the answers, the view and the frames that follow.
const TIMES: &str = "
    const kind = arguments[0], { go } = await import('/state.js'), channel = new MessageChannel(), times = [];
    let last = 0, waiting = false, asked = 0;
    channel.port1.onmessage = () => { last = performance.now(); waiting = false; };
    const drawn = () => { if (!waiting) requestAnimationFrame(() => channel.port2.postMessage(0)); waiting = true; };
    const plain = window.fetch;
    window.fetch = async (...request) => {
      asked++;
      const answer = await plain(...request), text = answer.text.bind(answer);
      answer.text = async () => { const body = await text(); setTimeout(() => { asked--; drawn(); }); return body; };
      return answer;
    };
    const eye = new MutationObserver(drawn);
    eye.observe(document.getElementById('view'), { childList: true, subtree: true, attributes: true, characterData: true });
    for (const [i, name] of ['emma', 'olivia', 'ava', 'isabella', 'sophia', 'otto', 'anna', 'mia', 'carl'].entries()) {
      last = 0;
      const start = performance.now(), field = document.querySelector('#dock #text');
      if (kind === 'step') go({ step: 100 + 7 * i });
      else { field.value = name; field.dispatchEvent(new Event('input')); }
      do await new Promise((resolve) => setTimeout(resolve, 200)); while (asked > 0);
      times.push(last ? last - start : 0);
    }
    eye.disconnect();
    window.fetch = plain;
    return times;";

pub(crate) fn light_dark_and_narrow(page: &Page<'_>) {
    for (name, size, dark) in [
        ("light", [1280, 720], false),
        ("dark", [1280, 720], true),
        ("phone", [390, 844], false),
        ("phone-dark", [390, 844], true),
    ] {
        page.look(size, dark);
        for view in VIEWS {
            page.go(&format!("{view}?run=microgpt-1&text=anna"));
            page.settle();
            page.shot(&format!("{name}-{view}"));
            readable(page, &format!("{name}, {view}"));
            if name == "light" {
                focus_is_seen(page, view);
            }
            let [wide, room] = ["scrollWidth", "clientWidth"].map(|of| {
                page.js(&format!("return document.getElementById('view').{of}"), json!([])).as_u64().unwrap()
            });
            assert!(wide <= room, "{view}, {name}: {wide} pixels in a window of {room}");
        }
        let paper = page.js("return getComputedStyle(document.body).backgroundColor", json!([]));
        assert_eq!(paper, if dark { "rgb(18, 20, 25)" } else { "rgb(251, 251, 249)" });
    }
    page.look([1280, 800], false);
}

/// The views in a file, without a server: the same numbers.
pub(crate) fn exported(page: &Page<'_>, studio: &Studio) {
    let file = studio.command(&["export", "html", "microgpt-1", "--out", "inside.html"], "inside.html");
    page.open(&format!("file://{}", file.display()));
    page.until("the picture", || page.count(".block[data-name='layer0.q'] .stage") > 0);
    page.settle();
    page.shot("export");
    let mut oracle = Oracle::after(500);
    let text = page.js("return document.querySelector('#text').value", json!([]));
    let text = text.as_str().unwrap();
    assert_eq!(page.number("#loss b", Some("title")), oracle.read(text));
    let (values, _, cols) = oracle.tensor("layer0.v");
    let rows = values.len() / cols;
    assert_eq!(page.point_at("layer0.v", [rows - 1, 7], [rows, cols]), values[(rows - 1) * cols + 7]);
    // Back in time, as far as the file goes.
    page.js("document.activeElement.blur()", json!([]));
    page.press("\u{e012}");
    page.until("an earlier step", || page.text("#step-now") != "500");
    let step: usize = page.text("#step-now").parse().unwrap();
    let loss = Oracle::after(step).read(text);
    page.until("its loss", || page.number("#loss b", Some("title")) == loss);
    page.open(&page.url);
}
