"""Small images, drawn without any download.

`Plates` and `Rectangles` draw an image from a few numbers and can read the numbers off the pixels
again: the map is injective, so a pair of images has the mutual information of the pair of number
rows that it was drawn from. Both draw shades, not black and white: a sharp edge would be rounded
to the pixel, and information would be lost; here a pixel holds how much of it is covered.

For images without such a truth, Song and Ermon ask for what any true value would satisfy: more
rows of an image tell more, a function of y tells nothing new, and two independent pairs tell twice
as much. `ImageRows`, `Repeated` and `Doubled` draw those pairs; they have no `mi`.

Sources: Butakov et al. 2024, https://arxiv.org/abs/2403.02187; Song and Ermon 2020,
https://arxiv.org/abs/1910.06222.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from infobound.benchmark.distributions.joint import at_least_one, positive
from infobound.errors import InputError

__all__ = ["Doubled", "ImageRows", "Pairs", "Plates", "Rectangles", "Repeated"]

SHORTEST = 2  # pixels: a side that covers one pixel whole, wherever it lies


@dataclass(frozen=True)
class Plates:
    """A bright round spot: (n, 2) numbers in [0, 1], its centre, to (n, size^2) pixels.

    A pixel at distance r from the centre is exp(-r^2 / (2 spread^2)). Its logarithm is a square
    minus a straight line in the centre's coordinates, and a least squares fit reads them off.

    Raises:
        InputError: fewer than two pixels across, or no spread.

    Example:
        >>> plates = Plates(size=8)
        >>> centre = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
        >>> plates.inverse(plates(centre)).round(decimals=6).tolist()
        [[0.25, 0.75]]
    """

    size: int = 16
    spread: float = 0.2

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        at_least_one(size=self.size - 1)
        positive(spread=self.spread)

    def _grid(self, like: Tensor) -> Tensor:
        return torch.linspace(0, 1, self.size, dtype=torch.float32).to(like)

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, 2) to (n, size^2)."""
        across, down = (
            torch.exp(-0.5 * ((self._grid(rows) - rows[:, [side]]) / self.spread) ** 2)
            for side in (0, 1)
        )
        return (down[:, :, None] * across[:, None, :]).flatten(1)

    def inverse(self, rows: Tensor) -> Tensor:
        """(n, size^2) to (n, 2)."""
        image = rows.reshape(-1, self.size, self.size)
        grid = self._grid(rows)
        centred = grid - grid.mean()
        centres = [
            self.spread**2
            * ((image.sum(other).log() + 0.5 * (grid / self.spread) ** 2) @ centred)
            / centred.square().sum()
            for other in (1, 2)
        ]
        return torch.stack(centres, 1)

    def width(self, d: int) -> int:
        """Pixels of the image."""
        return self.size**2


@dataclass(frozen=True)
class Rectangles:
    """A white rectangle on black: (n, 4) numbers in [0, 1] to (n, size^2) pixels.

    Two numbers are its sides, between a quarter and three quarters of the image, two its place. A
    pixel holds the share of it that is covered, so edges between pixels are not lost: along an
    axis, the cover grows from 0 to 1 over the first pixel, and how much is missing there says
    where the edge lies.

    Raises:
        InputError: an image so small that a rectangle might cover no pixel whole.

    Example:
        >>> rectangles = Rectangles(size=16)
        >>> numbers = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
        >>> rectangles.inverse(rectangles(numbers)).round(decimals=6).tolist()
        [[0.1, 0.2, 0.3, 0.4]]
    """

    size: int = 16

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        if self.size < 4 * SHORTEST:
            raise InputError(f"Expected size of {4 * SHORTEST} or more; got {self.size}.")

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, 4), for each axis the length and the place, to (n, size^2)."""
        pixel = torch.arange(self.size).to(rows)
        profiles = []
        for axis in (0, 1):
            length = self.size * (0.25 + 0.5 * rows[:, [2 * axis]])
            start = (self.size - length) * rows[:, [2 * axis + 1]]
            end = start + length
            cover = torch.minimum(end, pixel + 1) - torch.maximum(start, pixel)
            profiles.append(cover.clamp(0, 1))
        across, down = profiles
        return (down[:, :, None] * across[:, None, :]).flatten(1)

    def inverse(self, rows: Tensor) -> Tensor:
        """(n, size^2) to (n, 4)."""
        image = rows.reshape(-1, self.size, self.size)
        numbers = []
        for other in (1, 2):
            profile = image.amax(other)  # some line of pixels is covered whole across
            start = (1 - profile.cummax(1).values).sum(1)
            length = self.size - start - (1 - profile.flip(1).cummax(1).values).sum(1)
            numbers += [(length / self.size - 0.25) / 0.5, start / (self.size - length)]
        return torch.stack(numbers, 1)

    def width(self, d: int) -> int:
        """Pixels of the image."""
        return self.size**2


class Pairs(Protocol):
    """Pairs to draw; what they tell of each other is not known."""

    @property
    def dim_x(self) -> int:
        """Columns of x."""

    @property
    def dim_y(self) -> int:
        """Columns of y."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n pairs: x (n, dim_x) and y (n, dim_y), float64, rows independent."""


@dataclass(frozen=True)
class ImageRows:
    """x an image of a random rectangle, y its top rows of pixels with noise.

    The truth is not known, but it grows with the rows, since fewer rows are a function of more.
    The noise keeps it finite: without, y would be a function of x, and both are continuous.

    Raises:
        InputError: more rows than the image has, or a parameter out of range.

    Example:
        >>> ImageRows(rows=4, size=16).dim_y
        64
    """

    rows: int = 8
    size: int = 16
    noise: float = 0.5

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        positive(noise=self.noise)
        Rectangles(self.size)
        if not 1 <= self.rows <= self.size:
            raise InputError(f"Expected rows between 1 and {self.size}; got {self.rows}.")

    @property
    def dim_x(self) -> int:
        """Pixels of the image."""
        return self.size**2

    @property
    def dim_y(self) -> int:
        """Pixels of its top rows."""
        return self.rows * self.size

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x (n, size^2) and y (n, rows * size)."""
        numbers = torch.rand(n, 4, generator=generator, dtype=torch.float64)
        x = Rectangles(self.size)(numbers)
        # The noise of all rows is drawn, so that fewer rows are a part of more, seed for seed.
        y = x + self.noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        return x, y[:, : self.dim_y]


@dataclass(frozen=True)
class Repeated:
    """x twice, and y with a part of itself, its first columns: tells what x and y tell.

    Raises:
        InputError: more columns than y has.

    Example:
        >>> Repeated(ImageRows(rows=4, size=16), kept=16).dim_y
        80
    """

    base: Pairs
    kept: int

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        if not 1 <= self.kept <= self.base.dim_y:
            raise InputError(f"Expected kept between 1 and {self.base.dim_y}; got {self.kept}.")

    @property
    def dim_x(self) -> int:
        """Twice the columns of x."""
        return 2 * self.base.dim_x

    @property
    def dim_y(self) -> int:
        """The columns of y and those kept."""
        return self.base.dim_y + self.kept

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(x, x) and (y, the first columns of y)."""
        x, y = self.base.sample(n, generator)
        return torch.cat([x, x], 1), torch.cat([y, y[:, : self.kept]], 1)


@dataclass(frozen=True)
class Doubled:
    """Two independent pairs side by side: they tell twice what one tells.

    Example:
        >>> Doubled(ImageRows(rows=4, size=16)).dim_y
        128
    """

    base: Pairs

    @property
    def dim_x(self) -> int:
        """Twice the columns of x."""
        return 2 * self.base.dim_x

    @property
    def dim_y(self) -> int:
        """Twice the columns of y."""
        return 2 * self.base.dim_y

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(x1, x2) and (y1, y2)."""
        first, second = self.base.sample(n, generator), self.base.sample(n, generator)
        return torch.cat([first[0], second[0]], 1), torch.cat([first[1], second[1]], 1)
