"""Which settings share a source."""

from __future__ import annotations

from kdns.config.access import ApiAccess, ManifestAccess, base
from kdns.server.clusters import merge


def test_one_source_watches_what_anyone_needs() -> None:
    dev, pods = ApiAccess(kubeconfig="k", context="dev"), ApiAccess("", (), "k", "dev", pods=True)
    nodes = ApiAccess(kubeconfig="k", context="dev", nodes=True)
    files, node_files = ManifestAccess("examples"), ManifestAccess("examples", nodes=True)
    both = ApiAccess(kubeconfig="k", context="dev", pods=True, nodes=True)
    assert merge([pods, files, nodes, dev, node_files]) == {dev: both, files: node_files}
    assert {base(each) for each in (dev, pods, nodes)} == {dev}
