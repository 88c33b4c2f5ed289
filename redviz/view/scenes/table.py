"""All scenes by id, in teaching order."""

from __future__ import annotations

from redviz.view.scenes.attention_credit import ATTENTION
from redviz.view.scenes.causation import CAUSATION
from redviz.view.scenes.closed_prefixes import CLOSED
from redviz.view.scenes.contrast import CONTRAST
from redviz.view.scenes.exact import EXACT
from redviz.view.scenes.gae import GAE
from redviz.view.scenes.group import GROUP_SCENE
from redviz.view.scenes.hacking import HACKING
from redviz.view.scenes.implicit_reward import IMPLICIT
from redviz.view.scenes.integrated import INTEGRATED
from redviz.view.scenes.kl import KL
from redviz.view.scenes.mix import MIX
from redviz.view.scenes.monte_carlo import MONTE_CARLO
from redviz.view.scenes.prefix_walk import PREFIX_WALK
from redviz.view.scenes.scene import Scene
from redviz.view.scenes.sparse_reward import SPARSE_REWARD
from redviz.view.scenes.telescoping import TELESCOPING

SCENES: dict[str, Scene] = {
    scene.id: scene
    for scene in (
        SPARSE_REWARD,
        PREFIX_WALK,
        TELESCOPING,
        MIX,
        ATTENTION,
        INTEGRATED,
        MONTE_CARLO,
        GROUP_SCENE,
        GAE,
        KL,
        IMPLICIT,
        CONTRAST,
        CLOSED,
        HACKING,
        CAUSATION,
        EXACT,
    )
}
