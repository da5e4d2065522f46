//! An HTML file that needs nothing else: no network, no other file. Light and dark, wide and narrow; what is pointed at
//! tells its numbers.

use crate::{STYLE, escape};
use std::fmt::Write;

/// A page in the making.
#[derive(Debug, Clone, Default)]
pub struct Page {
    title: String,
    body: String,
}

const PAGE_STYLE: &str = "\
:root{color-scheme:light dark;--back:#f5f6f8;--card:#fff;--ink:#1c2024;--soft:#62666d;--line:#e3e5e9;--mark:#eef4ff}\
@media(prefers-color-scheme:dark){:root{--back:#0e1013;--card:#16181c;--ink:#e8eaed;--soft:#9aa0a8;--line:#30343b;--mark:#1d2735}}\
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);\
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:1220px;margin:0 auto;padding:24px 16px 48px}h1{font-size:1.7rem;line-height:1.2;margin:.2em 0}\
h2{font-size:1.15rem;margin:1.8em 0 .6em}p{margin:.4em 0;max-width:75ch}.soft{color:var(--soft)}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;align-items:start}\
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:6px}svg.mg{display:block;width:100%;height:auto}\
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}\
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}\
th,td{padding:6px 12px;text-align:right;white-space:nowrap;border-top:1px solid var(--line)}\
th{border-top:0;color:var(--soft);font-weight:600;position:sticky;top:0;background:var(--card)}\
th.t,td.t{text-align:left}tr.m td{background:var(--mark)}\
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;overflow-x:auto;margin:0;font-size:.85rem}\
ul.words{columns:12ch;list-style:none;margin:0;padding:12px 16px;background:var(--card);border:1px solid var(--line);border-radius:10px}\
#tip{position:fixed;pointer-events:none;display:none;background:var(--ink);color:var(--card);padding:4px 8px;border-radius:6px;\
font-size:.82rem;max-width:280px;z-index:9}";

/// Shows the point that is nearest to the pointer: `data-p` of a series has place, place, x, y, words; for each point.
const SCRIPT: &str = "\
(()=>{const tip=document.getElementById('tip'),ns='http://www.w3.org/2000/svg';\
document.querySelectorAll('svg.mg').forEach(svg=>{let all=null;\
const ring=document.createElementNS(ns,'circle');ring.setAttribute('r',6);ring.setAttribute('fill','none');\
ring.setAttribute('stroke','var(--ink)');ring.style.display='none';svg.appendChild(ring);\
const read=()=>[...svg.querySelectorAll('.s')].flatMap(g=>g.dataset.p.split('|').filter(Boolean).map(t=>\
{const p=t.split(';');return{x:+p[0],y:+p[1],t:[g.dataset.n,(p[2]?p[2]+': ':'')+p[3],p[4]].filter(Boolean).join(' \\u00b7 ')}}));\
const show=e=>{all=all||read();const m=svg.getScreenCTM();if(!m||!all.length)return;\
const q=new DOMPoint(e.clientX,e.clientY).matrixTransform(m.inverse());let best=null,far=900;\
for(const p of all){const d=(p.x-q.x)**2+(p.y-q.y)**2;if(d<far){far=d;best=p}}\
if(!best){hide();return}ring.style.display='';ring.setAttribute('cx',best.x);ring.setAttribute('cy',best.y);\
tip.textContent=best.t;tip.style.display='block';const w=tip.offsetWidth;\
tip.style.left=Math.max(4,Math.min(e.clientX+14,innerWidth-w-4))+'px';tip.style.top=Math.max(4,e.clientY-38)+'px'};\
const hide=()=>{ring.style.display='none';tip.style.display='none'};\
svg.addEventListener('pointermove',show);svg.addEventListener('pointerdown',show);svg.addEventListener('pointerleave',hide)})})()";

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Page {
        Page { title: title.to_string(), body: format!("<h1>{}</h1>\n", escape(title)) }
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
    }

    /// A paragraph of what matters less.
    pub fn aside(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"soft\">{}</p>", escape(text));
    }

    /// Pictures (SVG) beside each other, where there is room.
    pub fn pictures(&mut self, pictures: &[String]) {
        self.body += "<div class=\"cards\">\n";
        for picture in pictures {
            let _ = writeln!(self.body, "<figure>{}</figure>", picture.trim_end());
        }
        self.body += "</div>\n";
    }

    /// A table: the first row is its head, the first `words` columns are words and the others numbers; row `marked`
    /// (from 1) is marked.
    pub fn table(&mut self, rows: &[Vec<String>], words: usize, marked: Option<usize>) {
        self.body += "<div class=\"scroll\"><table>\n";
        for (i, row) in rows.iter().enumerate() {
            let tag = if i == 0 { "th" } else { "td" };
            self.body += if marked == Some(i) { "<tr class=\"m\">" } else { "<tr>" };
            for (col, cell) in row.iter().enumerate() {
                let class = if col < words { " class=\"t\"" } else { "" };
                let _ = write!(self.body, "<{tag}{class}>{}</{tag}>", escape(cell));
            }
            self.body += "</tr>\n";
        }
        self.body += "</table></div>\n";
    }

    /// Short words beside each other.
    pub fn words(&mut self, words: &[String]) {
        let items: String = words.iter().map(|word| format!("<li>{}</li>", escape(word))).collect();
        let _ = writeln!(self.body, "<ul class=\"words\">{items}</ul>");
    }

    /// Text as it stands.
    pub fn code(&mut self, text: &str) {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(text));
    }

    /// The file.
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{}</title>\n\
             <style>{STYLE}{PAGE_STYLE}</style></head>\n<body><main>\n{}</main><div id=\"tip\"></div>\n<script>{SCRIPT}</script></body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_else_and_takes_no_text_for_a_tag() {
        let mut page = Page::new("a <b>");
        page.heading("h");
        page.text("x < y");
        page.table(&[vec!["name".into(), "n".into()], vec!["<i>".into(), "1".into()]], 1, Some(1));
        page.words(&["anna".into()]);
        page.pictures(&["<svg></svg>".into()]);
        page.code("a = 1");
        let html = page.html();
        assert!(html.contains("a &lt;b&gt;") && html.contains("<td class=\"t\">&lt;i&gt;</td><td>1</td>"));
        assert!(
            !html.contains("http://") || html.matches("http").all(|_| html.contains("www.w3.org/2000/svg"))
        );
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
