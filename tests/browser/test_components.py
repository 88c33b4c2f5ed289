"""Strips and curves in a real Chromium: hover, pin, keys, what the server learns, hostile text, and speed."""

from pathlib import Path

import pytest
from serve import serving

pytestmark = pytest.mark.browser

APP = Path(__file__).with_name("components_app.py")
SLOW = 180_000  # ms, on a machine that may be busy


@pytest.fixture(scope="module")
def address():
    with serving(APP, APP.parent) as url:
        yield url


@pytest.fixture
def show(page, address):
    """Open the harness with these choices and wait until strips and curves stand."""

    def open_harness(**query):
        options = {k: query.pop(k) for k in ("viewport", "color_scheme") if k in query}
        opened = page(**options)
        opened.errors = []
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.on("dialog", lambda dialog: (opened.errors.append("a dialog opened"), dialog.dismiss()))
        opened.set_default_timeout(SLOW)
        opened.goto(f"{address}/?" + "&".join(f"{k}={v}" for k, v in query.items()))
        opened.wait_for_selector("figure svg")
        opened.wait_for_selector(".rv .text")
        return opened

    return open_harness


def server_pin(opened, expected):
    """Wait until the page shows what the server knows."""
    opened.get_by_text(f"server pin: {expected}", exact=True).wait_for()


def pinned(opened):
    return [cell.inner_text().strip() for cell in opened.locator(".u.pin").all()]


def test_hover_names_every_method_with_its_sign(show):
    opened = show(kind="worked")
    opened.locator(".u").nth(1).hover()
    tip = opened.locator(".tip")
    assert tip.locator("tr").all_inner_texts() == ["RED\t−0.600\t", "ABC\t+0.750\t", "T-REG\t0\t"]
    assert "token 2 of 4" in tip.inner_text()
    assert tip.locator(".path").inner_text().split() == ["P1", "0.500", "→", "P2", "−0.100", "−0.600"]
    opened.mouse.move(2, 2)
    assert tip.is_hidden()


def test_a_click_pins_strips_and_curves_and_the_server_learns_it(show):
    opened = show(kind="worked", layout="stacked")
    opened.locator(".u").nth(1).click()
    assert pinned(opened) == ["film"] * 3
    lines = opened.locator("figure line.pin:not([display=none])")
    assert lines.count() == 3
    assert len({line.get_attribute("x1") for line in lines.all()}) == 1
    server_pin(opened, 1)
    opened.locator(".u").nth(1).click()
    assert pinned(opened) == []
    server_pin(opened, None)
    assert opened.errors == []


def test_a_curve_lights_the_cell_under_it_and_pins_it(show):
    opened = show(kind="worked")
    chart = opened.locator("figure > svg").first
    ticks = {t.text_content(): t.bounding_box() for t in opened.locator("figure > svg text").all()}
    box, tick = chart.bounding_box(), ticks["3"]
    opened.mouse.move(tick["x"] + tick["width"] / 2, box["y"] + 50)
    assert opened.locator(".u.hover").inner_text().strip() == "is"
    opened.mouse.down()
    opened.mouse.up()
    assert pinned(opened) == ["is"]
    assert "0.900" in opened.locator("figure").first.inner_text()
    server_pin(opened, 2)


def test_a_drag_zooms_in_on_the_curves_and_a_double_click_back(show):
    opened = show(kind="long", n=400)
    chart = opened.locator("figure > svg").last
    chart.scroll_into_view_if_needed()

    def ticks():
        return [t for t in chart.locator("> text[text-anchor=middle]").all_text_contents() if t.isdigit()]

    whole, box = ticks(), chart.bounding_box()
    opened.mouse.move(box["x"] + 300, box["y"] + 50)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 400, box["y"] + 50, steps=4)
    opened.mouse.up()
    assert pinned(opened) == []
    assert len(ticks()) > 2 and int(ticks()[-1]) - int(ticks()[0]) < 60
    chart.dblclick(position={"x": 500, "y": 50})
    assert ticks() == whole


def test_arrows_move_the_pin_and_only_the_last_place_is_sent(show):
    opened = show(kind="worked")
    opened.locator(".text").focus()
    for expected in ("The", "film", "is", "superb", "end", "end"):
        opened.keyboard.press("ArrowRight")
        assert pinned(opened) == [expected]
    server_pin(opened, 4)
    opened.keyboard.press("Home")
    assert pinned(opened) == ["The"]
    opened.keyboard.press("End")
    opened.keyboard.press("ArrowLeft")
    assert pinned(opened) == ["superb"]
    opened.keyboard.press("Escape")
    assert pinned(opened) == []
    server_pin(opened, None)


def test_enter_pins_what_is_hovered(show):
    opened = show(kind="worked")
    opened.locator(".text").focus()
    opened.locator(".u").nth(3).hover()
    opened.keyboard.press("Enter")
    assert pinned(opened) == ["superb"]


def test_keys_show_one_method_alone_and_all_again(show):
    opened = show(kind="worked")
    opened.locator(".text").focus()
    opened.keyboard.press("2")
    assert opened.locator(".rv.alone .card[aria-pressed=true] .name").inner_text() == "ABC"
    opened.locator(".u").nth(1).hover()
    assert "RED" in opened.locator(".tip").inner_text()
    opened.keyboard.press("0")
    assert opened.locator(".rv.lanes").count() == 1
    opened.keyboard.press("7")
    assert opened.locator(".rv.lanes").count() == 1


def test_streamlit_hears_none_of_the_keys_that_a_strip_has(show):
    opened = show(kind="worked")
    opened.locator(".text").focus()
    for pressed in ("c", "r"):
        opened.keyboard.press(pressed)
    opened.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert opened.get_by_role("dialog").count() == 0
    opened.locator(".text").blur()
    opened.keyboard.press("c")  # the page hears it
    opened.get_by_role("dialog").wait_for()


def test_the_page_can_move_the_pin(show):
    opened = show(kind="worked")
    opened.locator(".u").nth(0).click()
    server_pin(opened, 0)
    wish = opened.get_by_label("Pin token")
    wish.fill("2")
    wish.press("Enter")
    server_pin(opened, 2)
    assert pinned(opened) == ["is"]


def test_a_token_pinned_again_after_another_panel_moved_the_pin_reaches_the_server(show):
    opened = show(kind="worked")
    opened.locator(".u").nth(1).click()
    server_pin(opened, 1)
    opened.locator(".rv[role=group]").focus()
    opened.keyboard.press("ArrowRight")
    server_pin(opened, 2)
    opened.locator(".u").nth(1).click()
    server_pin(opened, 1)
    opened.get_by_label("Pin token").fill("3")
    opened.get_by_label("Pin token").press("Enter")
    server_pin(opened, 3)
    opened.locator(".u").nth(1).click()
    server_pin(opened, 1)
    assert pinned(opened) == ["film"]


def test_a_pin_outlives_a_change_of_granularity(show):
    opened = show(kind="hostile")
    opened.locator(".u").filter(has_text="🤩").click()
    server_pin(opened, 13)
    opened.get_by_text("sentence", exact=True).click()
    opened.locator(".u.pin").filter(has_text="done🤩").wait_for()
    server_pin(opened, 13)


@pytest.mark.parametrize("layout", ["lanes", "stacked"])
@pytest.mark.parametrize("granularity", ["token", "word"])
def test_every_unit_of_hostile_text_can_be_pinned_and_nothing_runs(show, layout, granularity):
    opened = show(kind="hostile", layout=layout, granularity=granularity)
    assert "<script>alert(1)</script>" in opened.locator(".text").first.inner_text()
    cells = opened.locator(".text").first.locator(".u")
    for u in range(cells.count()):
        corner = cells.nth(u).evaluate(
            """cell => { cell.scrollIntoView({block: 'center'});
                         const r = [...cell.getClientRects()].sort((a, b) => b.width - a.width)[0];
                         return [r.x + r.width / 2, r.y + r.height / 2, r.width]; }"""
        )
        assert corner[2] >= 3, f"unit {u} is {corner[2]} pixels wide"
        opened.mouse.click(corner[0], corner[1])
        assert "pin" in cells.nth(u).get_attribute("class").split(), f"unit {u} was not pinned"
    assert opened.errors == []


def test_right_to_left_text_runs_from_the_right(show):
    opened = show(kind="arabic")
    at = [cell.bounding_box()["x"] for cell in opened.locator(".u").all()[:3]]
    assert at == sorted(at, reverse=True)
    box = opened.locator(".text").bounding_box()
    first = opened.locator(".u").first.bounding_box()
    assert first["x"] + first["width"] == pytest.approx(box["x"] + box["width"], abs=20)  # beside the tags


def test_a_screen_reader_is_told_what_is_pinned(show):
    opened = show(kind="worked")
    block = opened.get_by_role("listbox")
    assert "RED, ABC, T-REG" in block.get_attribute("aria-label")
    opened.locator(".u").nth(1).click()
    chosen = opened.get_by_role("option", selected=True)
    assert chosen.get_attribute("aria-label") == "film, token 2 of 4: RED −0.600, ABC +0.750, T-REG 0"
    assert block.get_attribute("aria-activedescendant") == chosen.get_attribute("id")


@pytest.mark.parametrize("dark", [False, True])
def test_text_on_cells_is_readable_in_both_themes(show, dark):
    embed = {"embed": "true", "embed_options": "dark_theme"} if dark else {}
    opened = show(kind="long", n=120, layout="stacked", **embed)
    worst = opened.evaluate(
        """() => {
          const all = (root, s) => [...root.querySelectorAll('*')].flatMap(
            e => [...(e.matches(s) ? [e] : []), ...(e.shadowRoot ? all(e.shadowRoot, s) : [])]);
          const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
          const rgb = (...layers) => { for (const c of layers) { paint.fillStyle = c; paint.fillRect(0, 0, 1, 1); }
            return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3); };
          const lum = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
          const page = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
          return Math.min(...all(document, '.u').map(cell => {
            const style = getComputedStyle(cell);
            const ground = style.backgroundImage.match(/(rgba?|color)\\([^)]*\\)/)[0];
            const [a, b] = [lum(rgb(page, ground)), lum(rgb(style.color))].sort((x, y) => y - x);
            return (a + .05) / (b + .05); }));
        }"""
    )
    assert worst >= 4.5


def test_legends_leave_the_side_of_a_narrow_page(show):
    opened = show(kind="long", n=60, viewport={"width": 700, "height": 900})
    legend, text = opened.locator(".legend").first.bounding_box(), opened.locator(".text").bounding_box()
    assert legend["y"] + legend["height"] <= text["y"]
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_four_thousand_tokens_build_and_pin_fast(show):
    opened = show(kind="long", n=4000)
    opened.wait_for_function("window[Symbol.for('redviz.link')].size > 0")
    measured = opened.context.new_cdp_session(opened)
    measured.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(work):
        """Processor time of the page's thread: how busy the machine is makes no difference to it."""
        before, result, after = thread_time(), opened.evaluate(work), thread_time()
        return after - before, result

    def thread_time():
        metrics = measured.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime")

    opened.evaluate(
        """() => { window.all = (root, s) => [...root.querySelectorAll('*')].flatMap(
            e => [...(e.matches(s) ? [e] : []), ...(e.shadowRoot ? all(e.shadowRoot, s) : [])]); }"""
    )
    build, _ = seconds("() => { all(document, '.card')[0].click(); return all(document, '.text')[0].offsetHeight; }")
    pins, cells = seconds(
        """() => { const cells = all(document, '.u');
                   for (let i = 0; i < 20; i++) cells[100 + 7 * i].click();
                   return cells.length; }"""
    )
    assert cells == 4001
    assert build < 3  # about 0.6 on two slow cores, layout included
    assert pins / 20 < 0.02  # about 0.001
