//! How the live view looks: a scene on a frame of any size.

use super::scene::Scene;
use microgpt::diagnosis::layer_norms;
use microgpt::measures::Measures;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, GraphType, Paragraph, Widget, Wrap};
use std::time::Duration;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    pub(crate) color: bool,
}

impl Looks {
    fn of(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn bold(self, color: Color) -> Style {
        self.of(color).add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        self.of(Color::DarkGray)
    }
}

const TRAIN: Color = Color::Cyan;
const HELD_BACK: Color = Color::Magenta;
const GUESS: Color = Color::Yellow;

/// Smaller than this there is nothing to see.
pub(crate) const SMALLEST: (u16, u16) = (40, 12);

/// All of it.
pub(crate) fn draw(frame: &mut Frame<'_>, scene: &Scene, looks: Looks) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let line = format!("step {}/{}", scene.step, scene.history.steps);
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    let rows = [1, 1, 1].map(Constraint::Length).into_iter();
    let rows = rows.chain([Constraint::Min(6), Constraint::Length(1)]);
    let [title, progress, says, body, keys] = Layout::vertical(rows).areas(area);
    frame.render_widget(title_line(scene, looks), title);
    frame.render_widget(progress_line(scene, looks, progress.width), progress);
    frame.render_widget(says_line(scene, looks), says);
    draw_body(frame, scene, looks, body);
    frame.render_widget(keys_line(scene, looks), keys);
    if scene.help {
        help(frame, looks);
    }
}

fn draw_body(frame: &mut Frame<'_>, scene: &Scene, looks: Looks, body: Rect) {
    let inside = inside_lines(scene, looks);
    if body.width < 70 {
        let halves = [Constraint::Fill(2), Constraint::Fill(1)];
        let [curve, written] = Layout::vertical(halves).areas(body);
        loss_curve(scene, looks, frame.buffer_mut(), curve);
        samples(frame, scene, looks, written);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(body);
    // On a large terminal each matrix has a line below the curve.
    let matrices = scene.history.measures.as_ref().map_or(0, |measures| measures.matrices.len() as u16 + 3);
    if body.height >= 16 + matrices && matrices > 0 {
        let [curve, table] =
            Layout::vertical([Constraint::Min(12), Constraint::Length(matrices)]).areas(left);
        loss_curve(scene, looks, frame.buffer_mut(), curve);
        matrix_table(frame, scene, looks, table);
    } else {
        loss_curve(scene, looks, frame.buffer_mut(), left);
    }
    let height = (inside.len() as u16 + 2).min(body.height / 2);
    let [written, flow] = Layout::vertical([Constraint::Min(3), Constraint::Length(height)]).areas(right);
    samples(frame, scene, looks, written);
    frame.render_widget(Paragraph::new(inside).block(Block::bordered().title(" inside ")), flow);
}

fn title_line(scene: &Scene, looks: Looks) -> Line<'static> {
    Line::from(vec![
        Span::styled("microgpt ", looks.bold(TRAIN)),
        Span::styled(scene.title.clone(), Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(format!("  {}", scene.model), looks.dim()),
    ])
}

fn progress_line(scene: &Scene, looks: Looks, width: u16) -> Line<'static> {
    let (done, steps) = (scene.done(), scene.history.steps);
    let left = scene.left().map_or(String::new(), |left| format!("  {} left", duration(left)));
    let rate = thousands(scene.tokens_per_second() as u64);
    let what = if scene.unit == "token" { "tokens" } else { &format!("{}s", scene.unit) };
    let text = format!(" {:3.0} %  {}/{steps}  {rate} {what}/s{left}", 100.0 * done, scene.step);
    let room = usize::from(width).saturating_sub(text.chars().count()).clamp(8, 60);
    let full = (done * room as f64) as usize;
    Line::from(vec![
        Span::styled("█".repeat(full), looks.of(TRAIN)),
        Span::styled("░".repeat(room - full), looks.dim()),
        Span::raw(text),
    ])
}

fn says_line(scene: &Scene, looks: Looks) -> Line<'static> {
    let finding = scene.says();
    if scene.stopping {
        return Line::styled("stopping: the step in hand, then a checkpoint", looks.bold(GUESS));
    }
    if scene.paused {
        return Line::styled("paused: p goes on", looks.bold(GUESS));
    }
    let style = if finding.rule.is_warning() { looks.bold(Color::Red) } else { looks.bold(Color::Green) };
    let sign = if finding.rule.is_warning() { "! " } else { "> " };
    Line::styled(format!("{sign}{finding}"), style)
}

fn keys_line(scene: &Scene, looks: Looks) -> Line<'static> {
    let pause = if scene.paused { "go on" } else { "pause" };
    Line::styled(format!("q stop and save   p {pause}   ? help"), looks.dim())
}

/// The loss, the mean that follows it, what is held back, and the line of who guesses.
pub(crate) fn loss_curve(scene: &Scene, looks: Looks, buffer: &mut Buffer, area: Rect) {
    let ([points, mean], held_back, guess) = (scene.curves(), scene.looks(), scene.history.guess);
    let (first, last) = (scene.first_step as f64, (scene.step as f64).max(scene.first_step as f64 + 1.0));
    let line = [(first, guess), (last, guess)];
    // Single losses may lie anywhere; what is to be seen are their mean and the lines.
    let seen = || mean.iter().chain(&held_back).map(|&(_, loss)| loss).filter(|loss| loss.is_finite());
    let low = seen().fold(guess, f64::min);
    let high = seen().fold(guess, f64::max);
    let low = (low - 0.15 * (high - low).max(0.2)).max(0.0);
    let high = high + 0.1 * (high - low);
    let dataset = |data, marker, style| {
        Dataset::default().data(data).marker(marker).style(style).graph_type(GraphType::Line)
    };
    let mut sets = vec![
        dataset(&points, Marker::Braille, looks.dim()).graph_type(GraphType::Scatter),
        dataset(&line, Marker::Dot, looks.of(GUESS)),
        dataset(&mean, Marker::Braille, looks.bold(TRAIN)),
    ];
    if !held_back.is_empty() {
        sets.push(dataset(&held_back, Marker::Block, looks.of(HELD_BACK)).graph_type(GraphType::Scatter));
    }
    let recent = scene.history.recent_loss().unwrap_or(guess);
    let mut title = vec![
        Span::styled(format!(" loss ⣀ {recent:.3}"), looks.bold(TRAIN)),
        Span::styled(format!("  guess • {guess:.2}"), looks.of(GUESS)),
    ];
    if let Some((_, loss)) = held_back.last() {
        title.push(Span::styled(format!("  val █ {loss:.3}"), looks.of(HELD_BACK)));
    }
    title.push(Span::raw(" "));
    let label = |y: f64| Span::styled(format!("{y:.2}"), looks.dim());
    let step = |x: f64| Span::styled(thousands(x as u64), looks.dim());
    let ys = Axis::default().bounds([low, high]).labels([label(low), label((low + high) / 2.0), label(high)]);
    let xs =
        Axis::default().bounds([first, last]).labels([step(first), step((first + last) / 2.0), step(last)]);
    let chart = Chart::new(sets).x_axis(xs).y_axis(ys).legend_position(None);
    chart.block(Block::bordered().title(Line::from(title))).render(area, buffer);
}

/// What the model writes, the newest last.
fn samples(frame: &mut Frame<'_>, scene: &Scene, looks: Looks, area: Rect) {
    let block = Block::bordered().title(" it writes ");
    let (wide, high) = (area.width.saturating_sub(2), usize::from(area.height.saturating_sub(2)));
    let several = scene.samples.iter().any(|(_, text)| text.contains('\n'));
    let lines: Vec<Line<'_>> = match scene.samples.last() {
        Some((step, text)) if several => {
            let head = Line::styled(format!("after step {step}:"), looks.dim());
            std::iter::once(head).chain(text.lines().map(Line::from)).collect()
        }
        _ => {
            let first = scene.samples.len().saturating_sub(high);
            let line = |(step, text): &(usize, String)| {
                let text: String = text.chars().take(usize::from(wide)).collect();
                Line::from(vec![Span::styled(format!("{step:>7} "), looks.dim()), Span::raw(text)])
            };
            scene.samples[first..].iter().map(line).collect()
        }
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

/// How gradients flow: a bar for each layer, and what is seen in it.
fn inside_lines(scene: &Scene, looks: Looks) -> Vec<Line<'static>> {
    let Some(measures) = &scene.history.measures else {
        return vec![Line::styled("gradients: not yet measured", looks.dim())];
    };
    let mut flow: Vec<(String, f64)> = Vec::new();
    let outside = |names: &[&str]| {
        let squares = measures
            .matrices
            .iter()
            .filter(|m| names.contains(&m.name.as_str()))
            .map(|m| m.grad_norm.powi(2));
        squares.sum::<f64>().sqrt()
    };
    flow.push(("tokens".into(), outside(&["wte", "wpe", "bigram", "counts"])));
    flow.extend(layer_norms(measures).into_iter().enumerate().map(|(i, norm)| (format!("layer {i}"), norm)));
    if measures.matrices.iter().any(|m| m.name == "lm_head") {
        flow.push(("logits".into(), outside(&["lm_head"])));
    }
    let most = flow.iter().map(|(_, norm)| *norm).fold(0.0, f64::max);
    let bar = |(name, norm): (String, f64)| {
        // Ten blocks are five powers of ten.
        let blocks = (10.0 + 2.0 * (norm / most).log10()).clamp(0.0, 10.0);
        let blocks = if blocks.is_finite() { blocks.round() as usize } else { 0 };
        Line::from(vec![
            Span::raw(format!("{name:8} ")),
            Span::styled(format!("{:10}", "█".repeat(blocks)), looks.of(TRAIN)),
            Span::styled(format!(" {norm:.1e}"), looks.dim()),
        ])
    };
    let mut lines = vec![Line::styled("gradients, by powers of ten", looks.dim())];
    lines.extend(flow.into_iter().map(bar));
    lines.push(Line::styled(
        format!("a step moves weights by {:.2} %", 100.0 * measures.update_ratio),
        looks.dim(),
    ));
    lines.extend(layer_lines(measures));
    lines
}

/// Dead units, and where heads look.
fn layer_lines(measures: &Measures) -> impl Iterator<Item = Line<'static>> {
    measures.layers.iter().enumerate().map(|(i, layer)| {
        let heads = layer.entropy.iter().map(|entropy| entropy / layer.entropy_most);
        let heads: Vec<String> = heads.map(|part| format!("{:.0}", 100.0 * part)).collect();
        let looks =
            if heads.is_empty() { String::new() } else { format!(", heads spread {} %", heads.join(" ")) };
        Line::from(format!("layer {i}: {}/{} dead{looks}", layer.dead, layer.units))
    })
}

fn matrix_table(frame: &mut Frame<'_>, scene: &Scene, looks: Looks, area: Rect) {
    let Some(measures) = &scene.history.measures else { return };
    let head = Line::styled(format!("{:24} {:>12} {:>12}", "", "gradient", "update"), looks.dim());
    let row = |m: &microgpt::measures::OfMatrix| {
        Line::from(format!("{:24} {:>12.3e} {:>10.3} %", m.name, m.grad_norm, 100.0 * m.update_ratio))
    };
    let lines: Vec<Line<'_>> = std::iter::once(head).chain(measures.matrices.iter().map(row)).collect();
    let title = format!(" matrices, at step {} ", measures.step);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
}

fn help(frame: &mut Frame<'_>, looks: Looks) {
    let text = "\
 q, Ctrl+C   stop after the step in hand, and save
 p, space    pause, and go on
 ?           this

 loss        nats per token, of the batch; dots are steps
 guess       ln of how many tokens there are
 validation  the loss on what is held back
 gradients   each layer's length: bars differ by
             powers of ten; even bars are healthy
 dead        units of the MLP that learn nothing
 heads       0 % looks at one token, 100 % at all alike

 any key closes this";
    let (width, height) = (62, text.lines().count() as u16 + 2);
    let area = frame.area();
    let (width, height) = (width.min(area.width), height.min(area.height));
    let area = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" help ").border_style(looks.of(TRAIN));
    frame.render_widget(Paragraph::new(text).block(block), area);
}

/// 1234567 as 1,234,567.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 3 s, 2:05, 1:02:05.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// The curve as lines of text, to be left on the terminal.
pub(crate) fn summary(scene: &Scene, looks: Looks, width: u16) -> String {
    let area = Rect::new(0, 0, width.clamp(SMALLEST.0, 76), 11);
    let mut buffer = Buffer::empty(area);
    loss_curve(scene, looks, &mut buffer, area);
    let mut text = String::new();
    for y in 0..area.height {
        let mut style = Style::reset();
        let end = (0..area.width).rev().find(|&x| buffer[(x, y)].symbol() != " ").map_or(0, |x| x + 1);
        for x in 0..end {
            let cell = &buffer[(x, y)];
            if looks.color && cell.style() != style {
                style = cell.style();
                text.push_str(escape(style));
            }
            text.push_str(cell.symbol());
        }
        text.push_str(if looks.color { "\x1b[0m\n" } else { "\n" });
    }
    text
}

/// The few styles that the curve has.
fn escape(style: Style) -> &'static str {
    match style.fg {
        Some(TRAIN) => "\x1b[0;1;36m",
        Some(HELD_BACK) => "\x1b[0;35m",
        Some(GUESS) => "\x1b[0;33m",
        Some(Color::DarkGray) => "\x1b[0;90m",
        _ => "\x1b[0m",
    }
}

#[cfg(test)]
mod tests;
