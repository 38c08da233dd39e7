//! Outcomes as a table (CSV) and a picture (SVG), written by hand: no library draws them.

use crate::outcome::Outcome;
use std::fmt::Write;

/// One caller's outcomes, each beside the latency it came of.
#[derive(Clone, Debug)]
pub struct Series {
    /// The caller's name.
    pub name: &'static str,
    /// A colour in CSS.
    pub colour: &'static str,
    /// One-way latency in milliseconds, and what came of it.
    pub points: Vec<(u64, Outcome)>,
}

/// The table: a line for each caller and latency.
#[must_use]
pub fn csv(series: &[Series]) -> String {
    let mut text = String::from(
        "caller,latency_ms_each_way,throughput_percent,sent,admitted,refused_429,refused_403\n",
    );
    for one in series {
        for (latency, outcome) in &one.points {
            let refused = outcome.refused_window + outcome.refused_daily;
            let _ = writeln!(
                text,
                "{},{latency},{},{},{},{refused},{}",
                one.name,
                percent(outcome),
                outcome.sent,
                outcome.admitted,
                outcome.blocked
            );
        }
    }
    text
}

/// The picture: throughput over latency, one line for each caller, with its refusals in the legend.
#[must_use]
pub fn svg(title: &str, series: &[Series]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
<text x="{LEFT}" y="20" font-size="15">{title}</text>"#
    );
    for share in (0..=100).step_by(20) {
        let y = y_of(share * 100);
        let right = LEFT + PLOT_WIDTH;
        let _ = writeln!(
            text,
            r##"<line x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/><text x="{}" y="{}" text-anchor="end">{share} %</text>"##,
            LEFT - 6,
            y + 4
        );
    }
    let latencies = series.first().map_or(&[][..], |one| &one.points);
    for (place, (latency, _)) in latencies.iter().enumerate() {
        let _ = writeln!(
            text,
            r#"<text x="{}" y="{}" text-anchor="middle">{latency}</text>"#,
            x_of(place, latencies.len()),
            TOP + PLOT_HEIGHT + 18
        );
    }
    let _ = writeln!(
        text,
        r#"<text x="{}" y="{}" text-anchor="middle">latency each way, ms</text>"#,
        LEFT + PLOT_WIDTH / 2,
        TOP + PLOT_HEIGHT + 38
    );
    for (place, one) in series.iter().enumerate() {
        line(&mut text, place, one);
    }
    text.push_str("</svg>\n");
    text
}

fn line(text: &mut String, place: usize, series: &Series) {
    let points: Vec<String> = series
        .points
        .iter()
        .enumerate()
        .map(|(at, (_, outcome))| {
            let (x, y) = (x_of(at, series.points.len()), y_of(outcome.throughput()));
            format!("{x},{y}")
        })
        .collect();
    let refused: u64 = series.points.iter().map(|(_, o)| o.refused()).sum();
    let y = TOP + 14 + 18 * u64::try_from(place).unwrap_or(0);
    let x = LEFT + PLOT_WIDTH + 16;
    let _ = writeln!(
        text,
        r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>
<line x1="{x}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="3"/><text x="{}" y="{y}">{}: {refused} refused</text>"#,
        points.join(" "),
        series.colour,
        y - 4,
        x + 18,
        y - 4,
        series.colour,
        x + 24,
        series.name
    );
}

/// Percent with two decimals.
fn percent(outcome: &Outcome) -> String {
    let share = outcome.throughput();
    format!("{}.{:02}", share / 100, share % 100)
}

/// Latencies stand side by side, whatever lies between them.
fn x_of(place: usize, count: usize) -> u64 {
    let place = u64::try_from(place).unwrap_or(0);
    let steps = u64::try_from(count.saturating_sub(1)).unwrap_or(1).max(1);
    LEFT + 20 + place * (PLOT_WIDTH - 40) / steps
}

fn y_of(share: u64) -> u64 {
    TOP + PLOT_HEIGHT - share.min(10_000) * PLOT_HEIGHT / 10_000
}

const WIDTH: u64 = 960;
const HEIGHT: u64 = 420;
const LEFT: u64 = 60;
const TOP: u64 = 40;
const PLOT_WIDTH: u64 = 600;
const PLOT_HEIGHT: u64 = 320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_line_for_each_point_and_a_curve_for_each_caller() {
        let outcome = Outcome {
            sent: 10,
            admitted: 9,
            refused_window: 1,
            allowed: 12,
            ..Outcome::default()
        };
        let series = [Series {
            name: "one",
            colour: "red",
            points: vec![(0, outcome), (50, outcome)],
        }];
        let table = csv(&series);
        assert_eq!(table.lines().nth(2), Some("one,50,75.00,10,9,1,0"));
        let picture = svg("t", &series);
        assert!(
            picture.contains(r#"<polyline points="80,120 640,120""#),
            "{picture}"
        );
        assert!(picture.contains("one: 2 refused"));
    }
}
