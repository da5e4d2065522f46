//! Activations: `tests/interop/activation.py`.

use crate::golden::Golden;
use crate::on_each_engine;
use microgpt::activation::{Activation, Named};
use microgpt::choices::Choice;
use microgpt::tensor::Index;

#[test]
fn activations_are_pytorchs() {
    let golden = Golden::read("activation");
    let (x, g, dy) = (golden.get("x"), golden.get("g"), golden.get("dy"));
    let listed = Named::ALL.iter().map(|named| (named.name(), named.name()));
    for (name, formula) in listed.chain([("softplus", "softplus(x)"), ("mish", "x * tanh(softplus(x))")]) {
        let f = Activation::parse(formula).unwrap();
        let gate = if f.gated() { vec![g] } else { vec![] };
        let found = on_each_engine(x, &gate, dy, &move |_, x, gate| match gate {
            [g] => x.gate(g.gather(Index::Positions, g.shape().rows), f),
            _ => x.activate(f),
        });
        for (engine, tables) in found {
            for (end, found) in ["y", "dx", "dg"].iter().zip(&tables) {
                golden.get(&format!("{name}_{end}")).hold(found, engine);
            }
            assert_eq!(tables.len(), 2 + gate.len());
        }
    }
}
