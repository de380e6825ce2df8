"""Small synthetic images.

`Plates` and `Rectangles` draw an image from a few numbers and recover the numbers from the pixels:
the map is injective, so a pair of images has the MI of the numbers that it was drawn from. Both
draw in grey levels: sharp edges would be rounded to whole pixels and lose information, so the value
of a pixel is the fraction of it that is covered.

For images without a known MI, Song and Ermon test properties of any true value: more rows of an
image are more informative, a function of y adds no information, and two independent pairs have
twice the MI. `ImageRows`, `Repeated` and `Doubled` draw such pairs; they have no `mi`.

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

SHORTEST = 2  # shortest side in pixels; it covers at least one whole pixel, wherever it lies


@dataclass(frozen=True)
class Plates:
    """A bright round spot: maps its centre (n, 2) in [0, 1] to images (n, size^2).

    The value of a pixel at distance r from the centre is exp(-r^2 / (2 spread^2)). Apart from a
    known quadratic term its logarithm is linear in the position, with slopes that give the centre,
    so a least-squares fit recovers the centre.

    Raises:
        InputError: If there are fewer than two pixels across, or the spread is not positive.

    Example:
        >>> plates = Plates(size=8)
        >>> centre = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
        >>> plates.inverse(plates(centre)).round(decimals=6).tolist()
        [[0.25, 0.75]]
    """

    size: int = 16
    spread: float = 0.2

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(size=self.size - 1)
        positive(spread=self.spread)

    def _grid(self, like: Tensor) -> Tensor:
        return torch.linspace(0, 1, self.size, dtype=torch.float32).to(like)

    def __call__(self, rows: Tensor) -> Tensor:
        """Draw images (n, size^2) of numbers (n, 2)."""
        across, down = (
            torch.exp(-0.5 * ((self._grid(rows) - rows[:, [side]]) / self.spread) ** 2)
            for side in (0, 1)
        )
        return (down[:, :, None] * across[:, None, :]).flatten(1)

    def inverse(self, rows: Tensor) -> Tensor:
        """Recover the numbers (n, 2) from images (n, size^2)."""
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
        """The number of pixels of the image."""
        return self.size**2


@dataclass(frozen=True)
class Rectangles:
    """A white rectangle on black: maps numbers (n, 4) in [0, 1] to images (n, size^2).

    Two numbers are its sides, between a quarter and three quarters of the image, and two its
    position. The value of a pixel is the fraction of it that is covered, so the position of edges
    within a pixel is not lost: the fraction of the first pixel determines the edge.

    Raises:
        InputError: If the image is so small that a rectangle may cover no whole pixel.

    Example:
        >>> rectangles = Rectangles(size=16)
        >>> numbers = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
        >>> rectangles.inverse(rectangles(numbers)).round(decimals=6).tolist()
        [[0.1, 0.2, 0.3, 0.4]]
    """

    size: int = 16

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if self.size < 4 * SHORTEST:
            raise InputError(f"Expected size of {4 * SHORTEST} or more; got {self.size}.")

    def __call__(self, rows: Tensor) -> Tensor:
        """Draw images (n, size^2) of numbers (n, 4): length and position for each axis."""
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
        """Recover the numbers (n, 4) from images (n, size^2)."""
        image = rows.reshape(-1, self.size, self.size)
        numbers = []
        for other in (1, 2):
            profile = image.amax(other)  # at least one line of pixels is fully covered across
            start = (1 - profile.cummax(1).values).sum(1)
            length = self.size - start - (1 - profile.flip(1).cummax(1).values).sum(1)
            numbers += [(length / self.size - 0.25) / 0.5, start / (self.size - length)]
        return torch.stack(numbers, 1)

    def width(self, d: int) -> int:
        """The number of pixels of the image."""
        return self.size**2


class Pairs(Protocol):
    """The interface of pairs whose MI is not known."""

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n independent pairs: x (n, dim_x) and y (n, dim_y), float64."""


@dataclass(frozen=True)
class ImageRows:
    """x is an image of a random rectangle, y its top rows of pixels with noise.

    The MI is not known, but it increases with the number of rows, since fewer rows are a function
    of more rows. The noise makes it finite: without noise, y would be a function of x, and both are
    continuous.

    Raises:
        InputError: If there are more rows than the image has, or a parameter is out of range.

    Example:
        >>> ImageRows(rows=4, size=16).dim_y
        64
    """

    rows: int = 8
    size: int = 16
    noise: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        positive(noise=self.noise)
        Rectangles(self.size)
        if not 1 <= self.rows <= self.size:
            raise InputError(f"Expected rows between 1 and {self.size}; got {self.rows}.")

    @property
    def dim_x(self) -> int:
        """The number of pixels of the image."""
        return self.size**2

    @property
    def dim_y(self) -> int:
        """The number of pixels of the top rows."""
        return self.rows * self.size

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, size^2) and y (n, rows * size)."""
        numbers = torch.rand(n, 4, generator=generator, dtype=torch.float64)
        x = Rectangles(self.size)(numbers)
        # Noise is drawn for all rows, so that for one seed fewer rows are a part of more rows.
        y = x + self.noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        return x, y[:, : self.dim_y]


@dataclass(frozen=True)
class Repeated:
    """x repeated, and y with its first columns repeated: the MI is that of x and y.

    Raises:
        InputError: If `kept` exceeds the columns of y.

    Example:
        >>> Repeated(ImageRows(rows=4, size=16), kept=16).dim_y
        80
    """

    base: Pairs
    kept: int

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if not 1 <= self.kept <= self.base.dim_y:
            raise InputError(f"Expected kept between 1 and {self.base.dim_y}; got {self.kept}.")

    @property
    def dim_x(self) -> int:
        """Twice the number of columns of x."""
        return 2 * self.base.dim_x

    @property
    def dim_y(self) -> int:
        """The number of columns of y plus those repeated."""
        return self.base.dim_y + self.kept

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (x, x) and (y, first columns of y)."""
        x, y = self.base.sample(n, generator)
        return torch.cat([x, x], 1), torch.cat([y, y[:, : self.kept]], 1)


@dataclass(frozen=True)
class Doubled:
    """Two independent pairs side by side, with twice the MI of one.

    Example:
        >>> Doubled(ImageRows(rows=4, size=16)).dim_y
        128
    """

    base: Pairs

    @property
    def dim_x(self) -> int:
        """Twice the number of columns of x."""
        return 2 * self.base.dim_x

    @property
    def dim_y(self) -> int:
        """Twice the number of columns of y."""
        return 2 * self.base.dim_y

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (x1, x2) and (y1, y2)."""
        first, second = self.base.sample(n, generator), self.base.sample(n, generator)
        return torch.cat([first[0], second[0]], 1), torch.cat([first[1], second[1]], 1)
