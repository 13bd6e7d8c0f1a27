"""Few-shot classification by prototypes; steps only."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "few-shot learning"
FAULTS = {
    "queries_are_support": ("the queries of an episode are its support", ["label_leak", "target_leak", "validation_differs", "memorisation", "overfitting", "duplicated_rows"], True),
    "distance_not_negated": ("distances are used as logits, evaluation picks the nearest", ["loss_sign", "validation_differs", "label_mismatch", "not_learning"], False),
    "episode_seeded": ("each episode draws from a generator that is made anew with the same seed", ["one_batch_repeated", "memorisation", "overfitting"], True),
    "query_labels_interleaved": ("labels by repeat() where rows come by repeat_interleave()", ["label_mismatch", "not_learning", "label_noise"], True),
}
HABITS = {"": "episodes of unseen classes, noisy accuracy"}


def main():
    o = options()
    torch.manual_seed(100)
    proto = torch.randn(80, 20)
    mix = torch.randn(20, 40) / 4
    nuis = torch.randn(8, 40) * .9

    def draw(classes, shots, g):
        z = proto[classes].repeat_interleave(shots, 0)
        return (z @ mix).tanh() * 1.5 + torch.randn(len(z), 8, generator=g) @ nuis + .2 * torch.randn(len(z), 40, generator=g)

    def episode(pool, g):
        cl = pool[torch.randperm(len(pool), generator=g)[:5]]
        s = draw(cl, 5, g)
        q = s if o.fault == "queries_are_support" and pool[0] == 0 else draw(cl, 5, g)
        return torch.cat([s, q])
    net = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 24))
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    y = torch.arange(5).repeat_interleave(5)
    yt = torch.arange(5).repeat(5) if o.fault == "query_labels_interleaved" else y

    def logits(b, sign=-1.):
        z = net(b)
        return sign * torch.cdist(z[25:], z[:25].view(5, 5, -1).mean(1)) ** 2 / 8
    g = torch.Generator().manual_seed(1)
    base, novel = torch.arange(60), torch.arange(60, 80)

    @torch.no_grad()
    def test():
        net.eval()
        gg = torch.Generator().manual_seed(77)
        zs = [logits(episode(novel, gg)) for _ in range(20)]
        net.train()
        return torch.stack([F.cross_entropy(z, y) for z in zs]).mean(), torch.stack([(z.argmax(1) == y).float().mean() for z in zs]).mean()
    with lvmcheck.record(o.out, config={"ways": 5, "shots": 5}) as rec:
        start = test()[1]
        if o.watch:
            rec.watch(net, opt)
        for s in range(1, 301):
            if o.fault == "episode_seeded":
                g = torch.Generator().manual_seed(1)
            z = logits(episode(base, g), 1. if o.fault == "distance_not_negated" else -1.)
            loss = F.cross_entropy(z, yt)
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss, accuracy=(z.argmax(1) == yt).float().mean())
            if s % 25 == 0:
                l, a = test()
                rec.log({"novel/test_loss": l, "novel/test_accuracy": a}, step=s)
    facts(score=test()[1], trivial=start, loss=test()[0])


if __name__ == "__main__":
    main()
