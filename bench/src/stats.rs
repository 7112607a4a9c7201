//! Numbers about numbers.

/// The value below which `part` (0 to 1) of the sorted `values` lie; 0 without any.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let last = values.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index: small and positive"
    )]
    let at = (last as f64 * part).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// Middle, least and greatest of some rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread {
    /// The median.
    pub middle: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of `values`, in any order.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = f64::midpoint(quantile(&values, 0.499), quantile(&values, 0.501));
        Self { middle, least: quantile(&values, 0.0), most: quantile(&values, 1.0) }
    }

    /// As JSON.
    pub fn json(self) -> serde_json::Value {
        serde_json::json!({"median": self.middle, "min": self.least, "max": self.most})
    }
}

/// The exponent `k` of the curve `y = a * x^k` that fits the points best: 1 is linear, 2 quadratic.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> =
        points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len().max(1) as f64;
    let (mean_x, mean_y) = (
        logs.iter().map(|point| point.0).sum::<f64>() / count,
        logs.iter().map(|point| point.1).sum::<f64>() / count,
    );
    let above: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let below: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_sorted_values() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&[], 0.5)), (50.0, 99.0, 0.0));
        let spread = Spread::of([3.0, 1.0, 2.0, f64::NAN]);
        assert_eq!((spread.middle, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).middle, 1.5);
    }

    #[test]
    fn exponents_tell_curves_apart() {
        let curve = |power: i32| [1.0, 2.0, 4.0, 8.0].map(|x: f64| (x, 3.0 * x.powi(power)));
        assert!((exponent(&curve(1)) - 1.0).abs() < 1e-9);
        assert!((exponent(&curve(2)) - 2.0).abs() < 1e-9);
    }
}
