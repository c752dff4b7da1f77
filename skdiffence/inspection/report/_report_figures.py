"""The figures of a report as SVG text: sharp on paper, colored by the page's style sheet, no plotting library."""

import base64
import struct
import zlib
from html import escape

import numpy as np
from sklearn.metrics import roc_curve

_WIDTH = 640
_LEFT, _RIGHT, _TOP = 60, 16, 14
_CHARACTER, _LONGEST = 7.2, 40  # width of a character, and how many of a name are shown
_N_BINS = 32
_FEWEST = 10  # non-members that a rate must rest on


def _svg(title, height, parts, width=_WIDTH):
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>\n{body}\n</svg>"
    )


def _text(x, y, text, kind="", anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}"{extra}>{escape(text)}</text>'


def _line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _path(points, kind):
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{kind}"/>'


def _legend(names, y, x=_LEFT):
    """Draw one line of text for each curve, each under its own color."""
    return [
        _line(x, y + 18 * i - 4, x + 22, y + 18 * i - 4, f"curve c{i}")
        + _text(x + 30, y + 18 * i, name, anchor="start")
        for i, name in enumerate(names)
    ]


def attacks_svg(targets, floor, confidence):
    """Draw the area of every attack with its interval, one line an attack.

    Parameters
    ----------
    targets : dict of str to list of dict
        Records of attacks by target, the audited one first.
    floor : float or None
        Area that labels alone give.
    confidence : float
        Of the intervals.

    Returns
    -------
    svg : str
    """
    names = [record["attack"] for record in next(iter(targets.values()))]
    labels_end, step = 24 + _CHARACTER * min(max(map(len, names)), _LONGEST), 26
    bottom = _TOP + step * len(names)
    lows = [r["auc_low"] for records in targets.values() for r in records]
    start = min(0.45, np.floor(20 * min(lows)) / 20)

    def x(value):
        return labels_end + (value - start) / (1 - start) * (_WIDTH - _RIGHT - labels_end)

    parts = [_line(x(t), _TOP, x(t), bottom, "grid") for t in np.arange(0.5, 1.01, 0.1)]
    parts += [_text(x(t), bottom + 18, f"{t:.1f}") for t in np.arange(0.5, 1.01, 0.1)]
    parts += [_line(x(0.5), _TOP, x(0.5), bottom, "axis")]
    if floor is not None:
        parts.append(_line(x(floor), _TOP, x(floor), bottom, "floor"))
    for i, name in enumerate(names):
        middle = _TOP + step * (i + 0.5)
        short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        parts.append(_text(labels_end - 12, middle + 4, short, anchor="end"))
        for j, records in enumerate(targets.values()):
            record, y = records[i], middle + (j - (len(targets) - 1) / 2) * 9
            parts.append(_line(x(record["auc_low"]), y, x(record["auc_high"]), y, f"curve c{j}"))
            parts.append(f'<circle cx="{x(record["auc"]):.1f}" cy="{y:.1f}" r="4" class="dot c{j}"/>')
    caption = f"area under the ROC curve, with {100 * confidence:g} % interval; 0.5 is a guess"
    parts.append(_text((labels_end + _WIDTH - _RIGHT) / 2, bottom + 36, caption))
    height = bottom + 46
    if len(targets) > 1:
        parts += _legend(list(targets), height + 8, labels_end)
        height += 18 * len(targets)
    return _svg("Area under the ROC curve of every attack", height, parts)


def roc_svg(is_member, curves):
    """Draw ROC curves on logarithmic axes, the part that rests on few non-members shaded.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    curves : dict of str to ndarray of shape (n_samples,)
        Scores by the name of the curve.

    Returns
    -------
    svg : str
    """
    size, n_others = 380, np.count_nonzero(~is_member)
    lowest = 10.0 ** np.floor(np.log10(1 / max(n_others, 10)) + 1e-9)
    span = -np.log10(lowest)

    def x(rate):
        return _LEFT + (1 + np.log10(np.maximum(rate, lowest)) / span) * size

    def y(rate):
        return _TOP + size - (1 + np.log10(np.maximum(rate, lowest)) / span) * size

    noise = min(_FEWEST / n_others, 1)
    parts = [f'<rect x="{_LEFT}" y="{_TOP}" width="{x(noise) - _LEFT:.1f}" height="{size}" class="noise"/>']
    for decade in 10.0 ** np.arange(np.log10(lowest), 0.5):
        parts += [_line(x(decade), _TOP, x(decade), _TOP + size, "grid")]
        parts += [_line(_LEFT, y(decade), _LEFT + size, y(decade), "grid")]
        parts += [_text(x(decade), _TOP + size + 18, f"{decade:g}")]
        parts += [_text(_LEFT - 8, y(decade) + 4, f"{decade:g}", anchor="end")]
    parts.append(_line(x(lowest), y(lowest), x(1), y(1), "guess"))
    parts += [_path(_steps(is_member, scores, x, y), f"curve c{i}") for i, scores in enumerate(curves.values())]
    parts.append(_text(_LEFT + size / 2, _TOP + size + 38, "false positive rate"))
    middle = _TOP + size / 2
    turned = f' transform="rotate(-90 16 {middle:.1f})"'
    parts.append(_text(16, middle, "true positive rate", extra=turned))
    below = _TOP + size + 66
    parts += _legend(list(curves), below)
    below += 18 * len(curves)
    parts.append(_line(_LEFT, below - 4, _LEFT + 22, below - 4, "guess"))
    parts.append(_text(_LEFT + 30, below, "guess", anchor="start"))
    parts.append(f'<rect x="{_LEFT}" y="{below + 7}" width="22" height="12" class="noise"/>')
    parts.append(_text(_LEFT + 30, below + 18, "rests on fewer than 10 non-members: noise", anchor="start"))
    return _svg("ROC curves on logarithmic axes", below + 28, parts)


def _steps(is_member, scores, x, y):
    """Return the corners of a ROC curve as places on the page, one for each column of it."""
    fpr, tpr, _ = roc_curve(is_member, scores, drop_intermediate=False)
    columns, rows = np.round(x(fpr), 1), np.round(y(tpr), 1)
    # The highest point of each column; a step goes right before it goes up.
    last = np.r_[columns[1:] != columns[:-1], True]
    columns, rows = columns[last], rows[last]
    points = [(columns[0], rows[0])]
    for right, up in zip(columns[1:], rows[1:], strict=True):
        points += [(right, points[-1][1]), (right, up)]
    return points


def phi_svg(is_member, phis):
    """Draw the distributions of phi for members and non-members, one panel for each target.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    phis : dict of str to ndarray of shape (n_samples,)
        Log-odds of the answered label, by the title of the panel.

    Returns
    -------
    svg : str
    """
    low, high = np.quantile(np.concatenate(list(phis.values())), (0.005, 0.995))
    edges = np.linspace(low, max(high, low + 1e-6), _N_BINS + 1)
    counts = {title: [_shares(phi[side], edges) for side in (is_member, ~is_member)] for title, phi in phis.items()}
    top = max(share.max() for sides in counts.values() for share in sides)
    gap, height = 24, 190
    width = (_WIDTH - _RIGHT - 20 - gap * (len(phis) - 1)) / len(phis)
    parts = []
    for i, (title, sides) in enumerate(counts.items()):
        left = 20 + i * (width + gap)
        parts += _panel(left, width, height, title, sides, edges, top)
    middle = (20 + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _TOP + height + 56, "confidence in the answered label, ln p / (1 - p)"))
    parts.append(f'<rect x="{middle - 130:.1f}" y="{_TOP + height + 70}" width="14" height="12" class="area c2"/>')
    parts.append(_text(middle - 110, _TOP + height + 80, "members", anchor="start"))
    parts.append(f'<rect x="{middle + 10:.1f}" y="{_TOP + height + 70}" width="14" height="12" class="area c3"/>')
    parts.append(_text(middle + 30, _TOP + height + 80, "non-members", anchor="start"))
    return _svg("Confidence of members and non-members", _TOP + height + 92, parts)


def _shares(values, edges):
    counts = np.histogram(values.clip(edges[0], edges[-1]), bins=edges)[0]
    return counts / max(counts.sum(), 1)


def _panel(left, width, height, title, sides, edges, top):
    base = _TOP + 18 + height

    def x(value):
        return left + (value - edges[0]) / (edges[-1] - edges[0]) * width

    parts = [_text(left + width / 2, _TOP + 6, title, "strong"), _line(left, base, left + width, base, "axis")]
    for i, share in enumerate(sides):
        corners = [(x(edges[0]), base)]
        for start, end, part in zip(edges[:-1], edges[1:], share, strict=True):
            corners += [(x(start), base - part / top * height), (x(end), base - part / top * height)]
        parts.append(_path([*corners, (x(edges[-1]), base)], f"area c{i + 2}"))
    step = max(1, int(np.ceil((edges[-1] - edges[0]) / 8)))
    ticks = np.arange(np.ceil(edges[0] / step) * step, edges[-1] + 1e-9, step)
    return parts + [_text(x(tick), base + 16, f"{tick + 0.0:g}") for tick in ticks]


def png_uri(pixels):
    """Write an image as the address of a PNG that is its own content.

    Parameters
    ----------
    pixels : ndarray of shape (channels, height, width), dtype uint8
        One channel or three.

    Returns
    -------
    uri : str
    """
    channels, height, width = pixels.shape
    rows = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)).reshape(height, width * channels)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)  # 0: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()
