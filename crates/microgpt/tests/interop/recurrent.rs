//! Recurrent cells: `tests/interop/recurrent.py`.

use crate::golden::Golden;
use crate::on_each_engine;
use microgpt::cell::Cell;

#[test]
fn rnn_and_gru_are_pytorchs() {
    let golden = Golden::read("recurrent");
    let params = ["w", "b", "u", "c"];
    for (name, cell) in [("rnn", Cell::Rnn), ("gru", Cell::Gru)] {
        let tables: Vec<_> = params.iter().map(|param| golden.get(&format!("{name}_{param}"))).collect();
        let found = on_each_engine(golden.get("x"), &tables, golden.get("dy"), &move |_, x, params| {
            (x.linear(params[0]) + params[1]).recur(cell, params[2], params[3], 0)
        });
        for (engine, found) in found {
            let ends =
                ["y", "dx"].map(String::from).into_iter().chain(params.map(|param| format!("d{param}")));
            assert_eq!(found.len(), 2 + params.len());
            for (end, found) in ends.zip(&found) {
                golden.get(&format!("{name}_{end}")).hold(found, engine);
            }
        }
    }
}
