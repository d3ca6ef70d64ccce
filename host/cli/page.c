/* Self-contained pages. See page.h. */
#include "cli/page.h"

#include "base/text.h"

static const char style[] =
    ":root{--page:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#5d6778;--line:#dde1e8;--grid:#eceff3;"
    "--forward:#2563c9;--modulation:#0f8a70;--step:#8146c0;--vae_decode:#d2601a;--roof:#1c2330;"
    "--shadow:0 1px 3px rgba(20,30,50,.08)}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#12151b;--card:#1b1f28;--ink:#e6e9ef;"
    "--soft:#98a2b3;--line:#2e3440;--grid:#252a34;--forward:#6ea4ff;--modulation:#4cc9ab;"
    "--step:#bd90f0;--vae_decode:#ff9c5b;--roof:#e6e9ef;--shadow:none}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,'Segoe UI',Roboto,sans-serif}"
    "main{max-width:1240px;margin:0 auto;padding:32px 20px 56px}"
    "h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}"
    "h2{font-size:17px;margin:0 0 12px}p{margin:0 0 8px;color:var(--soft)}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:12px;"
    "padding:20px;margin-top:20px;box-shadow:var(--shadow)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px;"
    "margin-top:12px}p+.cards{margin-top:20px}"
    ".cards div{background:var(--card);border:1px solid var(--line);"
    "border-radius:12px;padding:12px 16px;box-shadow:var(--shadow)}"
    ".cards b{display:block;font-size:21px;line-height:1.3;font-variant-numeric:tabular-nums}"
    ".cards span{color:var(--soft);font-size:13px}.cards i{font-style:normal;color:var(--soft);"
    "font-size:13px;display:block}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:13px;"
    "font-family:inherit}.grid{stroke:var(--grid)}.roof{stroke:var(--roof);stroke-width:2;"
    "fill:none}.slope{stroke-dasharray:6 5}svg .name{fill:var(--ink);paint-order:stroke;"
    "stroke:var(--card);stroke-width:3px}svg .big{font-weight:600}"
    ".point{stroke:var(--card);stroke-width:1.5;fill-opacity:.82;cursor:default}"
    ".point:hover,.point:focus{fill-opacity:1;stroke:var(--ink);outline:none}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 20px;color:var(--soft);font-size:13px;"
    "margin-top:8px}.legend i{display:inline-block;width:10px;height:10px;border-radius:5px;"
    "margin-right:6px}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;"
    "font-variant-numeric:tabular-nums}th{font-weight:600;text-align:right;color:var(--soft);"
    "font-size:13px}th,td{padding:5px 7px;border-bottom:1px solid var(--grid);"
    "white-space:nowrap;text-align:right}th:nth-child(-n+2),td:nth-child(-n+2){text-align:left}"
    "td:nth-child(2){color:var(--soft)}tr.whole td{font-weight:600;border-top:1px solid "
    "var(--line)}tr:not(.whole) td:first-child{padding-left:26px}"
    ".bar{position:relative;min-width:86px}.bar i{position:absolute;left:0;bottom:2px;height:3px;"
    "border-radius:2px;max-width:100%}\n"
    "#tip{position:fixed;display:none;pointer-events:none;background:var(--ink);"
    "color:var(--card);padding:6px 10px;border-radius:8px;font-size:13px;max-width:340px;"
    "white-space:pre-line;z-index:9}\n";

void page_text(FILE *out, const char *words)
{
    for (const char *c = TEXT_SHOWN(words); *c; c++) {
        if (*c == '&')
            fputs("&amp;", out);
        else if (*c == '<')
            fputs("&lt;", out);
        else if (*c == '>')
            fputs("&gt;", out);
        else if (*c == '"')
            fputs("&quot;", out);
        else
            fputc(*c, out);
    }
}

void page_begin(FILE *out, const char *title, const char *more_style)
{
    fprintf(out, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                 "<meta name=viewport content='width=device-width,initial-scale=1'><title>");
    page_text(out, title);
    fprintf(out, "</title>\n<style>%s%s</style></head>\n<body><main>\n", style, more_style);
}
