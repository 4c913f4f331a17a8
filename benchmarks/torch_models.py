"""PyTorch with the same layer shapes as our networks, written plainly for benchmarks.pytorch, and a decoder of grouped,
modulated kernels like that of the family's public code.

Shapes, not weights: they are timed on random numbers. Left out, which favours PyTorch: the prior's closed forms and the
emotions of the flow; and the decoder's landmarks and their outlines, which it gets as inputs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotary(x: Tensor) -> Tensor:
    """Returns x [B, heads, T, width] with rotary positions."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2], dtype=torch.float32)[:, None] * 1000.0 ** (-torch.arange(half) / half)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """adaLN-zero transformer block with one modulation per frame."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation, self.qkv = nn.Linear(width, 6 * width), nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, frame: Tensor, mask: Tensor) -> Tensor:
        scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = self.modulation(frame).chunk(6, -1)
        x = F.layer_norm(h, h.shape[-1:]) * (1 + scale_a) + shift_a
        b, n, w = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(rotary(q), rotary(k), v, attn_mask=mask)
        h = h + gate_a * self.out(x.transpose(1, 2).reshape(b, n, w))
        x = F.layer_norm(h, h.shape[-1:]) * (1 + scale_m) + shift_m
        return h + gate_m * self.mlp(x)


class Flow(nn.Module):
    """demo_jax.models.flow_transformer: tokens of 10 + 50 + 10 frames to the velocity of the 50."""

    def __init__(self, width: int, depth: int, heads: int, size: int = 42, audio: int = 35) -> None:
        super().__init__()
        self.before, self.length = 10, 50
        self.audio_in, self.audio_out = nn.Conv1d(audio, width, 5, padding=2), nn.Conv1d(width, width, 5, padding=2)
        self.tokens, self.expected = nn.Linear(3 * size + 3, width), nn.Linear(2 * size, width)

        def two(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))

        self.time, self.source, self.level, self.keyframe = two(width), two(size), two(2), two(2 * size + 8)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_modulation, self.velocity = nn.Linear(width, 2 * width), nn.Linear(width, size)

    def forward(self, tokens: Tensor, expected: Tensor, audio: Tensor, clip: tuple[Tensor, ...], key: Tensor) -> Tensor:
        """tokens [B, 70, 129], expected [B, 70, 84], audio [B, 70, A], clip (time, source, level), key [B, 50, 92]."""
        audio_tokens = self.audio_out(F.silu(self.audio_in(audio.transpose(1, 2)))).transpose(1, 2)
        h = self.tokens(tokens) + audio_tokens + self.expected(expected)
        time, source, level = clip
        own = (self.time(time) + self.source(source) + self.level(level))[:, None]
        after = h.shape[1] - self.before - self.length
        frame = F.silu(audio_tokens + own + F.pad(self.keyframe(key), (0, 0, self.before, after)))
        mask = torch.ones(h.shape[0], 1, h.shape[1], h.shape[1], dtype=torch.bool)
        for block in self.blocks:
            h = block(h, frame, mask)
        part = slice(self.before, self.before + self.length)
        scale, shift = self.final_modulation(frame[:, part]).chunk(2, -1)
        return self.velocity(F.layer_norm(h[:, part], h.shape[-1:]) * (1 + scale) + shift)


def norm(x: Tensor) -> Tensor:
    """Returns x [B, C, H, W] normalised over its channels."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)


class Modulated(nn.Module):
    """A residual block whose activations are modulated by a style, the same everywhere, and by a map, pixel by
    pixel."""

    def __init__(self, inputs: int, channels: int, style: int, maps: int) -> None:
        super().__init__()
        pairs = [(inputs, inputs), (channels, channels)]
        self.styles = nn.ModuleList(nn.Linear(style, 2 * n) for n, _ in pairs)
        self.maps = nn.ModuleList(nn.Conv2d(maps, 2 * n, 1) for n, _ in pairs) if maps else None
        self.convs = nn.ModuleList(nn.Conv2d(n, channels, 3, padding=1) for n, _ in pairs)
        self.skip = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()

    def forward(self, x: Tensor, style: Tensor, outlines: Tensor | None) -> Tensor:
        h = x
        for i in range(2):
            scale, shift = self.styles[i](style)[:, :, None, None].chunk(2, 1)
            h = norm(h) * (1 + scale) + shift
            if self.maps is not None:
                scale, shift = self.maps[i](outlines).chunk(2, 1)
                h = h * (1 + scale) + shift
            h = self.convs[i](F.silu(h))
        return self.skip(x) + h


def head_flow(size: int, turns: tuple[Tensor, Tensor], depth: Tensor) -> tuple[Tensor, Tensor]:
    """As demo_jax.models.geometry.rigid.head_flow, for heads in the middle: grid [B, r, r, 2], inside [B, r, r]."""
    axes, centre = torch.tensor([0.6, 0.8, 0.66]), torch.tensor([0.0, 0.08, -0.05])
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    view = 0.5 * torch.stack(torch.meshgrid(line, -line, indexing="xy"), -1)[None] / 0.45
    inverse = turns[1].transpose(1, 2)
    base = (torch.einsum("bij,bhwj->bhwi", inverse[:, :, :2], view.expand(len(inverse), -1, -1, -1)) - centre) / axes
    along = inverse[:, :, 2] / axes
    a = along.square().sum(-1)[:, None, None]
    b = torch.einsum("bhwi,bi->bhw", base, along)
    inside = 1 - (base.square().sum(-1) - b * b / a)
    s = (inside.clamp(min=1e-4) / a).sqrt() - b / a + depth
    point = torch.einsum("bij,bhwj->bhwi", inverse[:, :, :2], view.expand(len(inverse), -1, -1, -1))
    point = point + inverse[:, None, None, :, 2] * s[..., None]
    at = torch.einsum("bij,bhwj->bhwi", turns[0][:, :2], point) * 0.45
    return 2 * at * torch.tensor([1.0, -1.0]), inside


def shift(points: tuple[Tensor, Tensor], size: int) -> Tensor:
    """As demo_jax.models.geometry.landmarks.shift, of points [B, 70, 2] that are projected already: [B, r, r, 2]."""
    source, driving = points
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    across, down = (torch.exp(-0.5 * ((line - driving[..., i, None]) / 0.1).square()) for i in (0, 1))
    values = torch.cat([source - driving, torch.ones_like(source[..., :1])], -1)
    total = torch.einsum("bph,bpw,bpc->bhwc", down, across, values)
    return total[..., :2] / (total[..., 2:] + 1.0)


class Decoder(nn.Module):
    """demo_jax.models.decoder.Decoder; images are channels last in memory, and [B, C, H, W] in shape."""

    def __init__(self, levels: tuple[tuple[int, int], ...], latent: int, style: int, blocks: int = 2) -> None:
        super().__init__()
        self.levels, self.warped = levels, [r for r, _ in levels if r <= 64]
        self.style = nn.Sequential(nn.Linear(2 * latent, style), nn.SiLU(), nn.Linear(style, style), nn.SiLU())
        self.flows, self.merges, self.blocks = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        below = 0
        for resolution, channels in levels:
            inputs = below
            if resolution <= 64:
                if below:
                    self.flows[str(resolution)] = nn.Conv2d(below, 4, 3, padding=1)
                self.merges[str(resolution)] = nn.Conv2d(channels + (below or channels + 2) + 1, channels, 1)
                inputs = channels
            count, maps = (blocks, 8) if resolution <= 64 else (1, 0)
            made = [Modulated(inputs if j == 0 else channels, channels, style, maps) for j in range(count)]
            self.blocks[str(resolution)] = nn.ModuleList(made)
            below = channels
        self.out = nn.Conv2d(below, 32, 3, padding=1)

    def forward(
        self, pyramid: dict[str, Tensor], latents: Tensor, turns: tuple[Tensor, Tensor],
        points: tuple[Tensor, Tensor], outlines: Tensor,
    ) -> Tensor:  # fmt: skip
        """latents [B, 2 D], two turns [B, 3, 3], two of points [B, 70, 2], outlines [B, 8, 64, 64]."""
        style = self.style(latents)
        steps = torch.tensor([2.0, 0.2, 0.1, 0.1])[None, :, None, None]

        def where(flow: Tensor) -> tuple[Tensor, Tensor]:
            flow = flow.permute(0, 2, 3, 1)
            size = flow.shape[1]
            moved, inside = head_flow(size, turns, flow[..., 1])
            share = torch.sigmoid(4 * inside.clamp(min=-2) + flow[..., 0])[..., None]
            line = (torch.arange(size) + 0.5) * 2 / size - 1
            still = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]
            return still + share * (moved - still) + flow[..., 2:] + shift(points, size), share.permute(0, 3, 1, 2)

        def warp(image: Tensor, grid: Tensor) -> Tensor:
            return F.grid_sample(image, grid, padding_mode="border", align_corners=False)

        x: Tensor | None = None
        flow = torch.zeros(len(style), 4, self.levels[0][0], self.levels[0][0])
        for resolution, _ in self.levels:
            name, maps = str(resolution), None
            if x is not None:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
                flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
            if resolution <= 64:
                features = pyramid[name].expand(len(style), -1, -1, -1)
                if x is not None:
                    flow = flow + steps * self.flows[name](F.silu(norm(x)))
                grid, share = where(flow)
                rest = [x] if x is not None else [features, torch.zeros(len(style), 2, resolution, resolution)]
                x = self.merges[name](torch.cat([warp(features, grid), *rest, share], 1))
                maps = F.avg_pool2d(outlines, 64 // resolution)
            for block in self.blocks[name]:
                x = block(x, style, maps)
        out = F.pixel_shuffle(self.out(F.silu(norm(x))), 2)
        flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
        grid, _ = where(flow + steps * out[:, 4:])
        kept = warp(pyramid["rgb"].expand(len(style), -1, -1, -1), grid)
        painted = torch.sigmoid(out[:, 3:4] - 2)
        return kept + painted * (out[:, :3] - kept)


class Grouped(nn.Module):
    """A 3x3 convolution whose kernel each sample modulates and demodulates, as one convolution with a group for each
    sample (Karras et al. 2020); with `up`, the size is doubled first."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / math.sqrt(9 * inputs))
        self.affine, self.up = nn.Linear(style, inputs), up
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("blur", (line[:, None] * line / line.sum() ** 2 * 4)[None, None])

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        b, c, h, w = x.shape
        outputs = len(self.weight)
        weight = self.weight[None] * (1 + self.affine(style))[:, None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        x = x.reshape(1, b * c, h, w)
        if self.up:
            weight = weight.transpose(1, 2).reshape(b * c, outputs, 3, 3)
            x = F.conv_transpose2d(x, weight, stride=2, groups=b)
            x = x.reshape(b * outputs, 1, *x.shape[2:])
            x = F.conv2d(F.pad(x, (1, 1, 1, 1)), self.blur)
        else:
            x = F.conv2d(x, weight.reshape(b * outputs, c, 3, 3), padding=1, groups=b)
        return F.leaky_relu(x.reshape(b, outputs, *x.shape[2:]), 0.2)


class GroupedDecoder(nn.Module):
    """A style-based synthesis network for 512 px whose features are warped at every size: the public code of the family
    spends nine tenths of its time in it."""

    CHANNELS = ((8, 512), (16, 512), (32, 512), (64, 256), (128, 128), (256, 64), (512, 32))

    def __init__(self, style: int = 512) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 512, 4, 4))
        self.ups, self.convs, self.flows, self.colours = (nn.ModuleList() for _ in range(4))
        below = 512
        for _, channels in self.CHANNELS:
            self.ups.append(Grouped(below, channels, style, up=True))
            self.convs.append(Grouped(channels, channels, style, up=False))
            self.flows.append(nn.Conv2d(channels, 3, 1))
            self.colours.append(nn.Conv2d(channels, 3, 1))
            below = channels

    def forward(self, features: list[Tensor], style: Tensor) -> Tensor:
        """features of the source at every size, [1, C, r, r]."""
        x, image = self.first.expand(len(style), -1, -1, -1), None
        for up, conv, to_flow, to_colour, source in zip(
            self.ups, self.convs, self.flows, self.colours, features, strict=True
        ):
            x = conv(up(x, style), style)
            out = to_flow(x)
            grid = torch.tanh(out[:, :2]).permute(0, 2, 3, 1)
            warped = F.grid_sample(source.expand(len(style), -1, -1, -1), grid, align_corners=False)
            mask = torch.sigmoid(out[:, 2:])
            x = warped * mask + x * (1 - mask)
            colour = to_colour(x)
            image = colour if image is None else colour + F.interpolate(image, scale_factor=2, mode="bilinear")
        return image
