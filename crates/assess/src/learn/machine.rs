//! A line between two kinds of examples: a support vector machine, found by dual coordinate descent (Hsieh, Chang, Lin,
//! Keerthi, Sundararajan: "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML 2008, algorithm 1, with
//! squared hinge loss). The same examples give the same line.

use doorward_core::detect::injection::learnt::FEW;

use crate::numbers::Numbers;

/// What an example is made of: numbers of features, those that stand in it twice given twice.
#[derive(Clone, Copy, Debug)]
pub struct Example<'e> {
    /// Below the number of features there are.
    pub numbers: &'e [u32],
    /// On which side of the line it is to be.
    pub attack: bool,
}

/// The line: what each feature speaks for.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// By number.
    pub weights: Vec<f32>,
    /// What is said of an example that has none of them.
    pub bias: f32,
}

/// How much an example on the wrong side counts against the length of the weights.
const COST: f32 = 1.0;

/// How often all examples are gone through.
const TURNS: usize = 40;

impl Machine {
    /// Above 0 for an attack.
    #[must_use]
    pub fn margin(&self, numbers: &[u32]) -> f32 {
        let sum: f32 = numbers.iter().filter_map(|number| self.weights.get(index(*number))).sum();
        sum / root(numbers.len()) + self.bias
    }

    /// Finds the line between `examples`, of which there are `features` features. Both kinds count the same, however many
    /// there are of each.
    #[must_use]
    pub fn between(examples: &[Example<'_>], features: usize) -> Self {
        let mut machine = Self { weights: vec![0.0; features], bias: 0.0 };
        let attacks = examples.iter().filter(|example| example.attack).count();
        let share = |kind: usize| examples.len() as f32 / (2.0 * kind.max(1) as f32);
        let (of_attack, of_other) = (share(attacks), share(examples.len() - attacks));
        let slack = |example: &Example<'_>| 0.5 / (COST * if example.attack { of_attack } else { of_other });
        let squares: Vec<f32> = examples.iter().map(|example| square(example.numbers)).collect();
        let mut pulls = vec![0f32; examples.len()];
        let mut order: Vec<usize> = (0..examples.len()).collect();
        let mut numbers = Numbers::new(1);
        for _ in 0..TURNS {
            numbers.shuffle(&mut order);
            for at in &order {
                let (Some(example), Some(pull), Some(square)) =
                    (examples.get(*at), pulls.get_mut(*at), squares.get(*at))
                else {
                    continue;
                };
                let side = if example.attack { 1.0 } else { -1.0 };
                let slack = slack(example);
                let slope = side * machine.margin(example.numbers) - 1.0 + slack * *pull;
                let new = (*pull - slope / (square + slack)).max(0.0);
                machine.pull(example.numbers, (new - *pull) * side);
                *pull = new;
            }
        }
        machine
    }

    fn pull(&mut self, numbers: &[u32], by: f32) {
        if by == 0.0 {
            return;
        }
        let each = by / root(numbers.len());
        for number in numbers {
            if let Some(weight) = self.weights.get_mut(index(*number)) {
                *weight += each;
            }
        }
        self.bias += by;
    }

    /// The table as the detector reads it: a factor, the bias, and each weight in eight bits.
    pub(super) fn write(&self, bias: f32, out: &mut Vec<u8>) {
        let largest = self.weights.iter().fold(f32::MIN_POSITIVE, |most, weight| most.max(weight.abs()));
        let factor = largest / f32::from(i8::MAX);
        out.extend(factor.to_le_bytes());
        out.extend((self.bias + bias).to_le_bytes());
        out.extend(self.weights.iter().map(|weight| ((weight / factor).round() as i8).to_ne_bytes()[0]));
    }
}

/// The square of the length of an example, and of the bias that belongs to it.
fn square(numbers: &[u32]) -> f32 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let twice: usize = sorted.chunk_by(|one, other| one == other).map(|same| same.len() * same.len()).sum();
    twice as f32 / numbers.len().max(FEW) as f32 + 1.0
}

fn root(count: usize) -> f32 {
    (count.max(FEW) as f32).sqrt()
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_lies_between_and_is_the_same_each_time() {
        let attacks: [&[u32]; 3] = [&[0, 1], &[0, 2], &[0, 3, 3]];
        let others: [&[u32]; 4] = [&[4, 1], &[4, 2], &[5, 3], &[1, 2]];
        let attack = |attack| move |numbers: &&'static [u32]| Example { numbers, attack };
        let examples: Vec<Example<'_>> =
            attacks.iter().map(attack(true)).chain(others.iter().map(attack(false))).collect();
        let machine = Machine::between(&examples, 6);
        for example in &examples {
            assert_eq!(machine.margin(example.numbers) > 0.0, example.attack, "{example:?}");
        }
        assert!(machine.margin(&[0, 5]) > machine.margin(&[4, 5]));
        assert_eq!(Machine::between(&examples, 6).weights, machine.weights);
    }
}
