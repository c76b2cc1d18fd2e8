"""The pages of Prow's deck: upstream's templates and TypeScript, bundled as its image has them.

Follows cmd/deck/gather-static.sh and cmd/deck/.ts-packages of the Prow module, with esbuild in place of
tsc, rollup and terser.
"""

import hashlib
import os
import re
import shutil
from pathlib import Path

import yaml

from testbed import tools
from testbed.tools import Report, ToolError

_SOURCES = tools.SOURCES / "deck_js"
_PROW_MODULE = "sigs.k8s.io/prow"
# What gather-static.sh leaves out of the image.
_LEFT_OUT = shutil.ignore_patterns("*.go", "*.ts", "tsconfig.json", "*.bazel")
# What base.html loads from other sites, which a machine without them serves itself: the same files, from npm. The second
# address of Material Design Lite is that of later releases.
_FONTS = "https://fonts.googleapis.com/css?family=Roboto:400,700"
_ICONS = "https://fonts.googleapis.com/icon?family=Material+Icons"
_MATERIAL = (
    "https://code.getmdl.io/1.3.0/",
    "https://cdnjs.cloudflare.com/ajax/libs/material-design-lite/1.3.0/",
)
_LOADED = re.compile(r'<(?:script|link)[^>]*(?:src|href)="(https?://[^"]+)')
_ANALYTICS = "https://www.googletagmanager.com/"  # loaded only where an installation sets it up
_VENDOR_CSS = """
@import "@fontsource/roboto/400.css";
@import "@fontsource/roboto/700.css";
@import "material-icons/iconfont/filled.css";
@import "material-design-lite/dist/material.indigo-pink.min.css";
"""


def files(report: Report = print) -> Path:
    """A folder with static, template and lenses, which becomes KO_DATA_PATH in deck's image; built once.

    Raises ToolError if Node.js or npm is missing or the bundling fails.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes() + (tools.SOURCES / "prow" / "go.sum").read_bytes())
    tools.hash_folder(digest, _SOURCES)
    folder = tools.cache_dir() / "tools" / f"deck-files-{digest.hexdigest()[:16]}"
    return tools.built(folder, "bundling deck's pages", lambda out: _make(out, report), report)


def prow_module() -> Path:
    """The folder of the Prow module's sources, fetched if this machine does not have them."""
    return tools.module_folder("prow", _PROW_MODULE)


def _make(out: Path, report: Report) -> None:
    tools.ensure_packages({"node": "nodejs", "npm": "npm"}, report)
    prow = prow_module()
    work = out.with_name("work")
    shutil.copytree(_SOURCES, work)
    tools.run_logged(
        "installing deck's JavaScript packages", ["npm", "ci", "--ignore-scripts"], work, {}, report
    )
    for source, target in (("cmd/deck/template", "template"), ("cmd/deck/static", "static")):
        shutil.copytree(prow / source, out / target, ignore=_LEFT_OUT)
    shutil.copytree(prow / "pkg/spyglass/lenses", out / "lenses", ignore=_LEFT_OUT)
    for path in (out, *out.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only
    entries = []
    for package in yaml.safe_load((prow / "cmd/deck/.ts-packages").read_text())["packages"]:
        place = os.path.normpath(Path(package["dir"], package["dst"]))
        place = place.replace("cmd/deck/static", "static").replace("pkg/spyglass/lenses", "lenses")
        entries.append(f"{place.removesuffix('.js')}={prow / package['dir'] / package['entrypoint']}")
    vendor = work / "vendor.css"
    vendor.write_text(_VENDOR_CSS)
    bundle = ["node_modules/.bin/esbuild", "--bundle", "--minify", "--log-level=warning", f"--outdir={out}"]
    script = [*bundle, "--format=iife", "--target=es2015", *entries]
    # The sources lie elsewhere than the packages that they import.
    tools.run_logged(
        "bundling deck's scripts", script, work, {"NODE_PATH": str(work / "node_modules")}, report
    )
    fonts = [
        "--asset-names=static/[name]",
        "--loader:.woff=file",
        "--loader:.woff2=file",
        f"static/vendor={vendor}",
    ]
    tools.run_logged("bundling deck's styles", [*bundle, *fonts], work, {}, report)
    shutil.copy(work / "node_modules/material-design-lite/dist/material.min.js", out / "static")
    for page in out.rglob("*.html"):
        _use_own_files(page)


def _use_own_files(page: Path) -> None:
    """Replace the addresses of other sites by those of the same files in static.

    Raises ToolError if base.html does not load them, or if a page loads anything else from another site.
    """
    text = page.read_text()
    base = next((address for address in _MATERIAL if address in text), _MATERIAL[0])
    stylesheets = (_FONTS, _ICONS, f"{base}material.indigo-pink.min.css")
    script = f"{base}material.min.js"
    if page.name == "base.html" and (absent := [site for site in (*stylesheets, script) if site not in text]):
        raise ToolError(f"deck's base.html does not load {', '.join(absent)} as expected")
    text = text.replace(script, "/static/material.min.js").replace(_FONTS, "/static/vendor.css")
    for stylesheet in stylesheets[1:]:  # all of them are in vendor.css
        text = re.sub(rf'<link[^>]* href="{re.escape(stylesheet)}"[^>]*>', "", text)
    if foreign := [address for address in _LOADED.findall(text) if not address.startswith(_ANALYTICS)]:
        raise ToolError(f"deck's {page.name} loads {', '.join(foreign)}, which is not known here")
    page.write_text(text)
