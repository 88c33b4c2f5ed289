"""All scenes by id, in teaching order."""

from __future__ import annotations

from redviz.app.learn.scenes.attention_credit import ATTENTION
from redviz.app.learn.scenes.causation import CAUSATION
from redviz.app.learn.scenes.closed_prefixes import CLOSED
from redviz.app.learn.scenes.contrast import CONTRAST
from redviz.app.learn.scenes.exact import EXACT
from redviz.app.learn.scenes.gae import GAE
from redviz.app.learn.scenes.group import GROUP_SCENE
from redviz.app.learn.scenes.hacking import HACKING
from redviz.app.learn.scenes.implicit_reward import IMPLICIT
from redviz.app.learn.scenes.integrated import INTEGRATED
from redviz.app.learn.scenes.kl import KL
from redviz.app.learn.scenes.mix import MIX
from redviz.app.learn.scenes.monte_carlo import MONTE_CARLO
from redviz.app.learn.scenes.prefix_walk import PREFIX_WALK
from redviz.app.learn.scenes.scene import Scene
from redviz.app.learn.scenes.sparse_reward import SPARSE_REWARD
from redviz.app.learn.scenes.telescoping import TELESCOPING

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
