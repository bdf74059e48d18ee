"""Write dashboard.json, for Grafana, from board.yaml; with --check, only compare them."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("board.yaml")
BOARD = Path(__file__).with_name("dashboard.json")

# Of Grafana 11; newer ones migrate it as they load it.
SCHEMA = 39
WIDTH = 24
HEIGHTS = {"stat": 4, "state-timeline": 7, "timeseries": 9}
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
# Every server has this metric, by which namespaces and jobs are found.
KNOWN_BY = "runstore_ready"
VARIABLES = {
    "OURS": 'namespace=~"$namespace", job=~"$job"',
    "WINDOW": "$__rate_interval",
}

Json = dict[str, Any]

OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {
            "calcs": ["lastNotNull", "max"],
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "sortBy": "Last *",
            "sortDesc": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
    },
    "state-timeline": {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    },
}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of board.yaml, with the fields that it says there."""

    title: str
    description: str
    unit: str
    queries: Mapping[str, str]
    kind: str = "timeseries"
    steps: Mapping[str, float | None] = field(default_factory=lambda: {"green": None})
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    if_none: str = ""
    stacked: bool = False

    def as_json(self, number: int, place: Json) -> Json:
        return {
            "datasource": PROMETHEUS,
            "description": self.description,
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "gridPos": place,
            "id": number,
            "options": OPTIONS[self.kind],
            "targets": [
                _target(chr(ord("A") + index), legend, promql)
                for index, (legend, promql) in enumerate(self.queries.items())
            ],
            "title": self.title,
            "type": self.kind,
        }

    def _defaults(self) -> Json:
        is_graph = self.kind == "timeseries"
        steps = [{"color": color, "value": value} for color, value in self.steps.items()]
        words = {
            str(value): {"color": color, "index": index, "text": text}
            for index, (value, (text, color)) in enumerate(self.words.items())
        }
        return {
            "color": {"mode": "palette-classic" if is_graph else "thresholds"},
            "custom": self._custom(),
            "mappings": [{"options": words, "type": "value"}] if words else [],
            "thresholds": {"mode": "absolute", "steps": steps},
            "unit": self.unit,
            **({"min": 0} if is_graph else {}),
            **({"noValue": self.if_none} if self.if_none else {}),
        }

    def _custom(self) -> Json:
        if self.kind == "stat":
            return {}
        if self.kind == "state-timeline":
            return {"fillOpacity": 80, "lineWidth": 0}
        return {
            "drawStyle": "line",
            "fillOpacity": 60 if self.stacked else 8,
            "lineWidth": 1,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if self.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if len(self.steps) > 1 else "off"},
        }


def _target(name: str, legend: str, promql: str) -> Json:
    for word, stands_for in VARIABLES.items():
        promql = promql.replace(word, stands_for)
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": promql,
        "legendFormat": legend,
        "range": True,
        "refId": name,
    }


def dashboard(board: Json) -> Json:
    """The whole board in Grafana's JSON."""
    return {
        "annotations": {"list": []},
        "description": board["description"],
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [],
        "panels": list(_placed(board["rows"])),
        "refresh": "30s",
        "schemaVersion": SCHEMA,
        "tags": ["runstore"],
        "templating": {"list": _variables()},
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": board["title"],
        "uid": board["title"],
        "version": 1,
        "weekStart": "",
    }


def _placed(rows: list[Json]) -> Iterator[Json]:
    number = top = 0
    for row in rows:
        number += 1
        yield {
            "collapsed": False,
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
            "id": number,
            "panels": [],
            "title": row["title"],
            "type": "row",
        }
        top += 1
        for line in row["lines"]:
            panels = [Panel(**each) for each in line]
            height = max(HEIGHTS[panel.kind] for panel in panels)
            width = WIDTH // len(panels)
            for column, panel in enumerate(panels):
                number += 1
                place = {"h": height, "w": width, "x": column * width, "y": top}
                yield panel.as_json(number, place)
            top += height


def _variables() -> list[Json]:
    return [
        {
            "label": "Prometheus",
            "name": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "type": "datasource",
        },
        # Outside of Kubernetes there may be no namespaces: then all of them is none.
        _values_of("namespace", KNOWN_BY, allValue=".*"),
        _values_of("job", f'{KNOWN_BY}{{namespace=~"$namespace"}}'),
    ]


def _values_of(label: str, series: str, **more: str) -> Json:
    query = f"label_values({series}, {label})"
    return {
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": PROMETHEUS,
        "definition": query,
        "includeAll": True,
        "label": label.title(),
        "multi": True,
        "name": label,
        "query": {"qryType": 1, "query": query, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "type": "query",
        **more,
    }


def main(arguments: list[str]) -> str | None:
    """Return None on success, otherwise the message to exit with."""
    made = json.dumps(dashboard(yaml.safe_load(SOURCE.read_text())), indent=2) + "\n"
    if arguments == ["--check"]:
        is_fresh = BOARD.exists() and BOARD.read_text() == made
        return None if is_fresh else f"{BOARD} is stale: run make board"
    BOARD.write_text(made)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
