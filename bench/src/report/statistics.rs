//! Medians over rounds, and ratios of subjects that were measured in the same round.

use serde::{Deserialize, Serialize};

use super::model::{Report, Sample, ScenarioResult};

/// The smallest and the largest value over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// The ratio of two subjects, computed in each round for itself.
///
/// A machine that is slower in one round is slower for both, so the ratios of rounds differ less
/// than their values do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The median of the rounds' ratios.
    pub median: f64,
    /// The smallest of them.
    pub min: f64,
    /// The largest of them.
    pub max: f64,
}

impl Report {
    /// The median over the rounds, of what was measured under `key`.
    pub fn median(&self, scenario: &str, subject: &str, key: &str) -> Option<f64> {
        self.scenario(scenario)?.median(subject, key)
    }

    /// The range over the rounds, of what was measured under `key`.
    pub fn spread(&self, scenario: &str, subject: &str, key: &str) -> Option<Spread> {
        self.scenario(scenario)?.spread(subject, key)
    }

    /// How many times `versus`'s value `subject`'s value is, over the rounds that have both.
    pub fn ratio(&self, scenario: &str, key: &str, subject: &str, versus: &str) -> Option<Paired> {
        self.scenario(scenario)?.ratio(key, subject, versus)
    }
}

impl Report {
    /// How many times its value in scenario `from` a subject has in scenario `to`, over the rounds
    /// that have both.
    pub fn growth(&self, key: &str, subject: &str, from: &str, to: &str) -> Option<Paired> {
        let (from, to) = (self.scenario(from)?, self.scenario(to)?);
        paired(to.samples_of(subject), || from.samples_of(subject), key)
    }
}

impl ScenarioResult {
    /// As [`Report::median`].
    pub fn median(&self, subject: &str, key: &str) -> Option<f64> {
        median(self.values(subject, key))
    }

    /// As [`Report::spread`].
    pub fn spread(&self, subject: &str, key: &str) -> Option<Spread> {
        spread(&self.values(subject, key))
    }

    /// As [`Report::ratio`]. Rounds in which `versus` has the value 0 have no ratio.
    pub fn ratio(&self, key: &str, subject: &str, versus: &str) -> Option<Paired> {
        paired(self.samples_of(subject), || self.samples_of(versus), key)
    }

    /// Each percentile of latency that was measured, and its median over the rounds.
    pub(super) fn latency(&self, subject: &str) -> Vec<(f64, f64)> {
        let mut measured: Vec<(f64, f64)> = self
            .samples_of(subject)
            .filter_map(|sample| sample.latency.as_ref())
            .flat_map(|latency| latency.percentiles.iter().copied())
            .filter(|(percentile, micros)| percentile.is_finite() && micros.is_finite())
            .collect();
        measured.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        measured
            .chunk_by(|(one, _), (other, _)| one.total_cmp(other).is_eq())
            .filter_map(|same| {
                let (percentile, _) = same.first()?;
                Some((*percentile, median(same.iter().map(|(_, micros)| *micros).collect())?))
            })
            .collect()
    }

    /// How many rounds have a sample of this subject.
    pub(super) fn rounds_of(&self, subject: &str) -> usize {
        self.samples_of(subject).count()
    }

    /// How many rounds have a sample of any subject.
    pub(super) fn rounds(&self) -> usize {
        let mut rounds: Vec<usize> = self.samples.iter().map(|sample| sample.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        rounds.len()
    }

    fn values(&self, subject: &str, key: &str) -> Vec<f64> {
        let values = self.samples_of(subject).filter_map(|sample| sample.values.get(key));
        values.copied().filter(|value| value.is_finite()).collect()
    }

    fn samples_of(&self, subject: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.subject == subject)
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[middle - 1], upper))
}

/// The ratios of samples to those of the same round.
fn paired<'a, I: Iterator<Item = &'a Sample>>(
    ours: impl Iterator<Item = &'a Sample>,
    theirs: impl Fn() -> I,
    key: &str,
) -> Option<Paired> {
    let ratios: Vec<f64> = ours
        .filter_map(|ours| {
            let theirs = theirs().find(|theirs| theirs.round == ours.round)?;
            Some(ours.values.get(key)? / theirs.values.get(key)?)
        })
        .filter(|ratio| ratio.is_finite())
        .collect();
    let Spread { min, max } = spread(&ratios)?;
    Some(Paired { median: median(ratios)?, min, max })
}

fn spread(values: &[f64]) -> Option<Spread> {
    let min = values.iter().copied().min_by(f64::total_cmp)?;
    let max = values.iter().copied().max_by(f64::total_cmp)?;
    Some(Spread { min, max })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{report, sample, scenario};
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
    }

    #[test]
    fn the_median_of_an_even_number_of_values_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }

    #[test]
    fn nothing_has_no_median_and_no_spread() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn median_and_spread_are_taken_over_the_rounds() {
        let report = report();

        assert_eq!(report.median("echo", "wspulse", "rate"), Some(300.0));
        assert_eq!(
            report.spread("echo", "wspulse", "rate"),
            Some(Spread { min: 200.0, max: 600.0 })
        );
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_then_their_median() {
        // The ratio of the medians would be 300 / 200 = 1.5.
        assert_eq!(
            report().ratio("echo", "rate", "wspulse", "fastws"),
            Some(Paired { median: 2.0, min: 1.5, max: 2.0 })
        );
    }

    #[test]
    fn a_round_without_the_other_subject_has_no_ratio() {
        let scenario = scenario(vec![
            sample("wspulse", 1, 10.0),
            sample("wspulse", 2, 90.0),
            sample("fastws", 1, 5.0),
            sample("fastws", 3, 1.0),
        ]);

        assert_eq!(
            scenario.ratio("rate", "wspulse", "fastws"),
            Some(Paired { median: 2.0, min: 2.0, max: 2.0 })
        );
        assert_eq!(scenario.ratio("rate", "wspulse", "absent"), None);
    }

    #[test]
    fn values_that_are_no_numbers_are_left_out() {
        let scenario = scenario(vec![
            sample("wspulse", 1, f64::NAN),
            sample("wspulse", 2, 7.0),
            sample("fastws", 2, 0.0),
        ]);

        assert_eq!(scenario.median("wspulse", "rate"), Some(7.0));
        assert_eq!(scenario.ratio("rate", "wspulse", "fastws"), None);
    }

    #[test]
    fn each_percentile_of_latency_has_its_own_median() {
        let latency = report().scenarios[0].latency("wspulse");

        assert_eq!(latency, [(50.0, 20.0), (99.0, 90.0)]);
    }
}
