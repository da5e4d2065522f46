//! The studio's page in a real browser: opened, clicked and typed into as a person would, and its numbers held against
//! the library's.

mod access;
mod driver;
mod oracle;
mod studio;
mod train;
mod inside;
mod change;
mod tour;
mod other;

use driver::Browser;
use studio::Studio;

/// All ten views in one browser, one after the other: a browser takes longer to start than a view to look at.
#[test]
#[ignore = "a browser takes its time: .ci/run runs it"]
fn the_page_shows_what_the_library_computes() {
    let Some(browser) = Browser::start() else { return };
    let studio = Studio::start();
    let page = studio::Page { browser: &browser, url: studio.url() };
    train::first_sample(&page);
    train::losses_are_those_of_microgpt_py(&page);
    train::time_travel(&page);
    inside::every_number_that_is_pointed_at(&page);
    inside::why(&page);
    inside::step_through(&page);
    inside::numbers_of_each_operation(&page);
    change::what_if(&page);
    change::generate(&page);
    change::compare(&page);
    tour::ten_stops(&page);
    train::a_second_run_by_the_form(&page);
    tour::address_and_keys(&page);
    tour::redraws(&page);
    other::models(&page);
    other::presets(&page, &studio);
    tour::light_dark_and_narrow(&page);
    access::nothing_moves(&page);
    other::a_foreign_page(&page);
    tour::exported(&page, &studio);
    train::the_server_goes_and_comes_back(&page, studio);
}
