use super::super::scene::example;
use super::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn drawn(scene: &Scene, width: u16, height: u16, color: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, scene, Looks { color })).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..area.height).map(line).collect()
}

/// The frame of 80 by 24, but for the points of the curve, which are the widget's business.
#[test]
fn the_usual_terminal_shows_all_of_it() {
    let found = lines(&drawn(&example(), 80, 24, true));
    let curve_is = |line: &String| {
        line.chars().map(|c| if ('\u{2800}'..='\u{28ff}').contains(&c) { ' ' } else { c }).collect::<String>()
    };
    let found: Vec<String> = found.iter().map(curve_is).map(|line| line.trim_end().to_string()).collect();
    assert_eq!(found[0], "microgpt runs/microgpt-1  4,064 parameters, scalar engine");
    assert!(
        found[1].starts_with("████") && found[1].ends_with("░  50 %  500/1000  350 characters/s  10 s left"),
        "{}",
        found[1]
    );
    assert_eq!(found[2], "> learning: train 2.30, validation 2.38; as unsure as among 9.9 of 27 tokens");
    assert!(found[3].contains("  guess • 3.30  val █ 2.380 "), "{}", found[3]);
    let all = found.join("\n");
    for part in [
        "      1 xqzzv",
        "    490 marika",
        "layer 0  ████████   5.0e-2",
        "tokens   ██████████ 3.0e-1",
        "a step moves weights by 0.20 %",
    ] {
        assert!(all.contains(part), "{part}:\n{all}");
    }
    assert!(all.contains("•••") && all.contains("█"), "{all}");
    assert_eq!(found[23], "q stop and save   p pause   ? help");
}

#[test]
fn a_large_terminal_has_the_matrices_too() {
    let all = lines(&drawn(&example(), 200, 60, true)).join("\n");
    for part in [
        "matrices, at step 480",
        "layer0.attn_wq",
        "3.000e-2",
        "layer 0: 3/64 dead, heads spread 75 92 17 83 %",
    ] {
        assert!(all.contains(part), "{part}:\n{all}");
    }
}

#[test]
fn every_size_can_be_drawn_and_every_moment() {
    let mut broken = example();
    broken.push(501, f64::INFINITY, 0.1, 1);
    broken.sketch(501, "several\nlines\n\nof text");
    broken.help = true;
    for scene in [Scene::default(), example(), broken] {
        for (width, height) in [(1, 1), (20, 5), (40, 12), (41, 40), (69, 24), (70, 13), (80, 24), (300, 100)]
        {
            drawn(&scene, width, height, true);
        }
    }
}

#[test]
fn what_is_going_on_is_seen() {
    let says = |scene: &Scene| lines(&drawn(scene, 80, 24, true))[2].trim_end().to_string();
    let mut scene = example();
    scene.push(501, f64::NAN, 0.1, 1);
    assert_eq!(says(&scene), "! the numbers are lost: at step 501 the loss is NaN (a lower lr?)");
    scene.paused = true;
    assert_eq!(says(&scene), "paused: p goes on");
    scene.stopping = true;
    assert_eq!(says(&scene), "stopping: the step in hand, then a checkpoint");
    scene.help = true;
    assert!(lines(&drawn(&scene, 80, 24, true)).join("\n").contains("any key closes this"));
}

#[test]
fn without_colours_there_are_none() {
    let colours = |color| {
        let buffer = drawn(&example(), 80, 24, color);
        buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(colours(true) && !colours(false));
    let [with, without] = [true, false].map(|color| summary(&example(), Looks { color }, 80));
    assert!(with.contains("\x1b[0;1;36m") && !without.contains('\x1b'));
    assert_eq!(without.lines().count(), 11);
}

#[test]
fn numbers_and_times_are_written_as_people_do() {
    assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    let shown = [0.4, 59.4, 125.0, 3725.0].map(|s| duration(Duration::from_secs_f64(s)));
    assert_eq!(shown, ["0 s", "59 s", "2:05", "1:02:05"]);
}
