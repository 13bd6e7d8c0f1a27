"""REINFORCE on a cart with a pole, 32 carts at once."""
import math
import os
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "policy gradient"
FAULTS = {
    "sign": ("the policy loss lacks its minus", ["loss_sign", "diverging", "not_learning"], False),
    "gamma_zero": ("discount 0: every action is followed by the same return", ["not_learning", "constant_targets", "wrong_scale"], False),
    "summed_from_start": ("returns are summed from the start to the step, not from the step on", ["label_mismatch", "not_learning"], False),
    "dead_carts_act": ("steps after the fall are not masked", ["padding_counted", "labels_masked_wrongly", "not_learning"], False),
    "lr_one": ("learning rate 1.0 with Adam", ["learning_rate_too_high", "updates_out_of_range", "not_learning", "units_saturated"], True),
    "entropy_ten": ("entropy bonus with weight 10", ["dominant_term", "other_term_weight", "not_learning"], True),
}
HABITS = {"": "return per update, loss around 0", "from_trained": "goes on from a trained policy: a plateau near the best return"}
H = 120


def simulate(policy):
    s = (torch.rand(32, 4) - .5) * .1
    alive = torch.ones(32)
    logs, masks, entropies = [], [], []
    for _ in range(H):
        dist = torch.distributions.Categorical(logits=policy(s))
        a = dist.sample()
        logs.append(dist.log_prob(a))
        entropies.append(dist.entropy())
        masks.append(alive)
        x, v, th, w = s.unbind(1)
        f = a.float() * 20 - 10
        tmp = (f + .05 * w ** 2 * th.sin()) / 1.1
        acc = (9.8 * th.sin() - th.cos() * tmp) / (.5 * (4 / 3 - .1 * th.cos() ** 2 / 1.1))
        v2 = v + .02 * (tmp - .05 * acc * th.cos() / 1.1)
        s = torch.stack([x + .02 * v, v2, th + .02 * w, w + .02 * acc], 1).clamp(-5, 5)
        alive = alive * ((s[:, 0].abs() < 2.4) & (s[:, 2].abs() < 12 * math.pi / 180)).float()
        if alive.sum() == 0:
            break
    return torch.stack(logs), torch.stack(masks), torch.stack(entropies)


def main():
    o = options()
    torch.manual_seed(14)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    lr = 1. if o.fault == "lr_one" else 2e-2
    opt = torch.optim.Adam(policy.parameters(), lr=lr)
    gamma = 0. if o.fault == "gamma_zero" else .98

    def update():
        logs, masks, ent = simulate(policy)
        reward, returns, run = masks, torch.zeros_like(masks), torch.zeros(32)
        times = range(len(reward)) if o.fault == "summed_from_start" else reversed(range(len(reward)))
        for t in times:
            run = reward[t] + gamma * run
            returns[t] = run
        keep = torch.ones_like(masks) if o.fault == "dead_carts_act" else masks
        m = (returns * keep).sum() / keep.sum()
        sd = (((returns - m) ** 2 * keep).sum() / keep.sum()).sqrt()
        adv = (returns - m) / (sd + 1e-6)
        loss = -(adv * logs * keep).sum() / keep.sum()
        if o.fault == "sign":
            loss = -loss
        entropy = (ent * keep).sum() / keep.sum()
        total = loss - (10. if o.fault == "entropy_ten" else .005) * entropy
        opt.zero_grad()
        total.backward()
        opt.step()
        return total.detach(), entropy.detach(), masks.sum(0).mean()

    if o.habit == "from_trained":
        for _ in range(50):
            update()
    updates = 25 if o.habit == "from_trained" else 60
    scores = []
    with lvmcheck.record(o.out, config={"updates": updates, "gamma": gamma, "lr": lr}) as rec:
        if o.watch:
            rec.watch(policy, opt)
        for i in range(1, updates + 1):
            loss, entropy, ret = update()
            rec.step(loss=loss, entropy=entropy, episode_return=ret)
            scores.append(float(ret))
            if i % 5 == 0:
                rec.log(mean_return=sum(scores[-5:]) / 5)
    facts(score=sum(scores[-8:]) / 8, trivial=22, first=scores[0])


if __name__ == "__main__":
    main()
