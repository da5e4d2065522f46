//! Norms: `tests/interop/norm.py`.

use crate::golden::Golden;
use crate::on_each_engine;
use microgpt::choices::Choice;
use microgpt::norm::Norm;

#[test]
fn norms_are_pytorchs() {
    let golden = Golden::read("norm");
    for &norm in Norm::ALL.iter().filter(|&&norm| norm != Norm::None) {
        let formula = norm.formula();
        let params: Vec<_> = formula.params.iter().map(|param| golden.get(param.name)).collect();
        let found = on_each_engine(golden.get("x"), &params, golden.get("dy"), &|_, x, params| {
            (formula.apply)(x, &|i| params[i])
        });
        for (engine, tables) in found {
            let mut names = vec![format!("{norm}_y"), format!("{norm}_dx")];
            names.extend(formula.params.iter().map(|param| format!("{norm}_d{}", param.name)));
            assert_eq!(names.len(), tables.len());
            names.iter().zip(&tables).for_each(|(name, found)| golden.get(name).hold(found, engine));
        }
    }
}
