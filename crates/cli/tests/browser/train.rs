//! The runs: trained, travelled through, begun by the form, and there again after a power cut.

use crate::oracle::Oracle;
use crate::studio::{Page, Studio};
use crate::tour::redraw;
use serde_json::json;
use std::time::Instant;

const ARTICLE: &str = include_str!("../../../../tests/golden/article_ssa.stdout");

/// The loss that microgpt.py printed for a step.
fn printed(step: usize) -> &'static str {
    let line = ARTICLE.lines().filter(|line| line.starts_with("step")).nth(step - 1).unwrap();
    line.split("loss ").nth(1).unwrap()
}

pub(crate) fn first_sample(page: &Page<'_>) {
    let started = Instant::now();
    loop {
        let ready = std::net::TcpStream::connect(page.url.trim_start_matches("http://")).is_ok();
        if ready {
            break;
        }
        assert!(started.elapsed().as_secs() < 20, "the studio does not listen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    page.look([1280, 800], false);
    page.open(&page.url);
    page.until("a first sample", || page.count("#samples .mono") > 0);
    eprintln!("from listening to the first trained sample on the page: {} ms", started.elapsed().as_millis());
}

pub(crate) fn losses_are_those_of_microgpt_py(page: &Page<'_>) {
    page.shows("#step-now", "500");
    page.shows("#where", &format!("loss {}", printed(500)));
    page.shows("#words", "equally likely");
    page.shot("train");
    for step in [1, 2, 37, 100, 250, 499] {
        page.go(&format!("train?step={step}"));
        page.shows("#where", &format!("loss {}", printed(step)));
        page.shows("#facts", &format!("loss{}", printed(step)));
        page.shows("#words", &format!("At step {step} it was as unsure"));
    }
    // How each matrix moved in a step: what the library's meter says of it.
    let measures = Oracle::measures(100);
    page.go("train?step=100");
    page.until("nine matrices", || page.count("#matrices tbody tr") == 9);
    page.shows("#matrices-step", "at step 100");
    for (i, matrix) in measures.matrices.iter().enumerate() {
        let row = format!("#matrices tbody tr:nth-child({})", i + 1);
        let shown = [3, 5].map(|cell| page.number(&format!("{row} td:nth-child({cell})"), Some("title")));
        assert_eq!(page.text(&format!("{row} td")), matrix.name);
        assert_eq!(shown, [matrix.grad_norm, matrix.update_ratio], "{}", matrix.name);
    }
}

pub(crate) fn time_travel(page: &Page<'_>) {
    page.go("train");
    page.js("document.activeElement.blur()", json!([]));
    // Home, then right, right, left: the keys of the step.
    page.press("\u{e011}");
    page.shows("#step-now", "0");
    page.press("\u{e014}\u{e014}\u{e014}\u{e012}");
    page.shows("#where", &format!("loss {}", printed(2)));
    // The slider by the pointer: its middle is half the way.
    page.point("#slider", [0.5, 0.5], true);
    page.until("a step near the middle", || {
        (230..=270).contains(&page.text("#step-now").parse::<usize>().unwrap())
    });
    let step: usize = page.text("#step-now").parse().unwrap();
    page.shows("#where", &format!("loss {}", printed(step)));
    page.press("\u{e010}");
    page.shows("#step-now", "500");
}

/// Holds every answer up for a while; `late` says whether one of a path that ends so has come by now.
const LATE: &str = "
    const plain = window.fetch, come = [];
    window.fetch = async (...all) => {
      const answer = await plain(...all);
      await new Promise((resolve) => setTimeout(resolve, 700));
      setTimeout(() => come.push(String(all[0]).split('?')[0]), 50);
      return answer;
    };
    window.late = (end) => come.some((path) => path.endsWith(end));
    window.inTime = () => { window.fetch = plain; };
    return null;";

pub(crate) fn a_second_run_by_the_form(page: &Page<'_>) {
    page.go("train");
    page.click("#new-run");
    page.fill("#set-n_head", "3");
    page.shows("#verdict", "n_head");
    page.until("no start with 3 heads", || page.count("#start:disabled") == 1);
    page.fill("#set-n_head", "2");
    page.shows("#verdict", "4,064 parameters");
    page.fill("#find-setting", "how many steps");
    page.until("what was not asked for to be hidden", || page.count("#set-n_head:not([hidden] *)") == 0);
    page.fill("#set-steps", "60");
    page.fill("#run-name", "two-heads");
    page.shot("form");
    // What the page asks for comes late: when it has long heard the same, and more, by listening.
    page.js(LATE, json!([]));
    page.click("#start");
    page.until("a second run", || page.count(".runs tbody tr") == 2);
    page.until("the late answers", || page.js("return late('/runs') && late('/news')", json!([])) == true);
    page.shows("#where", "60 / 60");
    page.click("#play");
    page.until("another late answer", || page.js("return late('/train')", json!([])) == true);
    page.shows("#where", "120 / 120");
    page.shows(".runs tbody tr.on", "done");
    page.js("inTime(); return null", json!([]));
    let run = page.get("/runs/two-heads");
    assert_eq!((run["heads"].as_u64(), run["step"].as_u64()), (Some(2), Some(120)));
    let said = page.js(
        "return [...document.querySelectorAll('.runs tbody tr')].map((row) => row.textContent).join('|')",
        json!([]),
    );
    assert!(said.as_str().unwrap().contains("n_head 2"), "{said}");
    // A run is left out of the chart, and the address says so.
    let lines = || page.count(".losscard .readout .item");
    page.until("two lines of each run", || lines() == 4);
    page.click("[aria-label='Show microgpt-1 in the chart']");
    page.until("those of one run", || lines() == 2);
    page.until("the address", || {
        page.js("return location.hash", json!([])).as_str().unwrap().contains("hide=microgpt-1")
    });
    page.click("[aria-label='Show microgpt-1 in the chart']");
    page.until("both again", || lines() == 4);
    page.settle();
    page.shot("two-runs");
}

/// How often what a view shows has changed in some time, and how often there was news.
const CHANGES: &str = "
    const { onNews } = await import('/session.js'), changes = { view: 0, news: 0 };
    const eye = new MutationObserver((all) => { changes.view += all.length; });
    eye.observe(document.getElementById('view'), { childList: true, subtree: true, attributes: true, characterData: true });
    const end = onNews(() => { changes.news += 1; });
    while (changes.news < 6) await new Promise((resolve) => setTimeout(resolve, 50));
    end();
    eye.disconnect();
    return changes;";

/// A power cut in the middle of a training: the page notices, waits, opens the run again, and training goes on from the
/// checkpoint.
pub(crate) fn the_server_goes_and_comes_back(page: &Page<'_>, mut studio: Studio) {
    let run = json!({"name": "long", "settings": {"steps": "1000000"}, "go": true});
    assert_eq!(page.post("/runs", run)["id"], "long");
    page.open("about:blank");
    page.open(&format!("{}/#train?run=long", page.url));
    page.until("some steps", || page.text("#view").contains("equally likely"));
    // Training goes at full speed, and views of a step that is past stay as they are, and follow a hand.
    for view in ["inside", "ops", "whatif", "write", "tour"] {
        page.go(&format!("{view}?run=long&step=90&text=anna"));
        page.settle();
        let changes = page.later(CHANGES, json!([]));
        assert_eq!(changes["view"], 0, "{view}: {changes}");
    }
    let [step, text] = redraw(page, "inside", "long");
    eprintln!(
        "inside, while training goes at full speed: {step:.0} ms after a change of the step, {text:.0} ms of the text"
    );
    page.go("train?run=long");
    page.post("/runs/long/save", json!({}));
    let saved = page.get("/runs/long")["step"].as_u64().unwrap();
    let before = page.complaints();
    assert_eq!(before, [""; 0], "the browser's console");
    studio.kill();
    page.until("the page to notice", || page.count(".link-state.away") == 1);
    studio.run(&["--idle"]);
    page.until("the page to be connected again", || page.count(".link-state:not(.away)") == 1);
    page.until("training to go on", || {
        let run = page.get("/runs/long");
        run["status"] == "training" && run["step"].as_u64() > Some(saved)
    });
    page.until("the page to follow", || page.text("#step-now").parse::<u64>().unwrap() > saved);
    page.click("#play");
    page.until("a pause", || page.get("/runs/long")["status"] == "paused");
    // That nobody answered for a moment is what the console says of it, and may say.
    let after: Vec<String> = page.complaints();
    assert!(after.iter().all(|line| line.contains("ERR_") || line.contains("Failed to load")), "{after:?}");
}
