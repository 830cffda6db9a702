//! The time to the first token by utilisation, median beside 99th percentile, as an SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::outcome::Outcome;
use super::{Who, baselines::Rule};

const SIZE: (u32, u32) = (960, 420);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// # Errors
/// The file can't be written.
pub fn svg(path: &Path, outcomes: &[Outcome]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    panel(&left, "median", outcomes, |outcome| outcome.p50_ttft_ms / 1e3)?;
    panel(&right, "99th percentile", outcomes, |outcome| outcome.p99_ttft_ms / 1e3)?;
    root.present()?;
    Ok(())
}

fn panel(
    area: &Area<'_>,
    title: &str,
    outcomes: &[Outcome],
    seconds: fn(&Outcome) -> f64,
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(format!("First token, {title} (s)"), ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(0.15f64..0.9f64, (0.3f64..40f64).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("utilisation")
        .y_label_formatter(&|seconds| format!("{seconds}"))
        .draw()?;
    for who in Who::ALL {
        let points: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|outcome| outcome.policy == who.name())
            .map(|outcome| (outcome.utilization, seconds(outcome)))
            .collect();
        let style = style(who);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
            .label(who.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    if title == "median" {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 12))
            .draw()?;
    }
    Ok(())
}

fn style(who: Who) -> ShapeStyle {
    let color = match who {
        Who::Quorate => return RGBColor(200, 30, 30).stroke_width(3),
        Who::Baseline(Rule::Random) => RGBColor(150, 150, 150),
        Who::Baseline(Rule::RoundRobin) => RGBColor(190, 190, 190),
        Who::Baseline(Rule::InversePriceSquared) => RGBColor(120, 100, 80),
        Who::Baseline(Rule::LeastRequest) => RGBColor(230, 150, 40),
        Who::Baseline(Rule::PeakEwma { draws: 2 }) => RGBColor(110, 170, 230),
        Who::Baseline(Rule::PeakEwma { .. }) => RGBColor(30, 90, 180),
        Who::Baseline(Rule::Prequal) => RGBColor(50, 150, 80),
    };
    color.stroke_width(1)
}
