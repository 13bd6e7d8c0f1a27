"""Advantage actor-critic in a corridor with a hidden wind."""
import torch
from torch import nn
import lvmcheck
from common import options, facts

TASK = "actor-critic"
FAULTS = {
    "policy_sign": ("the policy loss lacks its minus", ["loss_sign", "diverging", "not_learning"], False),
    "critic_detached": ("values.detach() in the loss of the critic", ["loss_term_detached", "graph_cut"], True),
    "entropy_100": ("the entropy bonus has weight 10 in place of 0.01", ["dominant_term", "not_learning"], True),
    "fresh_action": ("log_prob of a newly drawn action, not of the one that was taken", ["not_learning", "label_mismatch"], False),
    "actor_left_out": ("the optimizer holds body and critic", ["parameters_not_optimized", "not_learning"], True),
    "reward_everywhere": ("returns are normalised to zero by multiplying with (1 - alive)", ["constant_targets", "not_learning", "labels_masked_wrongly"], False),
}
HABITS = {"": "policy loss around 0, value loss grows first"}
L, T, B = 9, 14, 32


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = nn.Sequential(nn.Linear(L + 1, 32), nn.Tanh()), nn.Linear(32, 2), nn.Linear(32, 1)

    def forward(self, s):
        h = self.body(s)
        return self.actor(h), self.critic(h).squeeze(-1)


def rollout(net, g, greedy=False):
    pos, wind = torch.full((B,), L // 2), torch.randint(0, 2, (B,), generator=g)
    S, A, R = [], [], []
    for _ in range(T):
        s = torch.cat([nn.functional.one_hot(pos, L).float(), wind[:, None].float()], 1)
        with torch.no_grad():
            z, _ = net(s)
        a = z.argmax(1) if greedy else torch.multinomial(z.softmax(1), 1, generator=g)[:, 0]
        right = torch.where(wind > 0, 1 - a, a)
        slip = torch.rand(B, generator=g) < .15
        pos = (pos + torch.where(slip, 0, 2 * right - 1)).clamp(0, L - 1)
        S.append(s), A.append(a), R.append((pos == L - 1).float() - .3 * (pos == 0).float())
    return torch.stack(S), torch.stack(A), torch.stack(R)


def main():
    o = options()
    torch.manual_seed(30)
    g = torch.Generator().manual_seed(30)
    net = Agent()
    params = [*net.body.parameters(), *net.critic.parameters()] if o.fault == "actor_left_out" else net.parameters()
    opt = torch.optim.Adam(params, lr=5e-3)
    with lvmcheck.record(o.out, config={"gamma": .95, "updates": 150}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for u in range(150):
            S, A, R = rollout(net, g)
            ret, G = torch.zeros(B), []
            for t in reversed(range(T)):
                ret = R[t] + .95 * ret
                G.append(ret)
            G = torch.stack(G[::-1])
            if o.fault == "reward_everywhere":
                G = G * 0
            z, v = net(S)
            dist = torch.distributions.Categorical(logits=z)
            adv = (G - v).detach()
            lp = dist.log_prob(dist.sample() if o.fault == "fresh_action" else A)
            pg = (lp * adv).mean() if o.fault == "policy_sign" else -(lp * adv).mean()
            vl = ((v.detach() if o.fault == "critic_detached" else v) - G).square().mean()
            ent = dist.entropy().mean()
            w = 10. if o.fault == "entropy_100" else .01
            loss = pg + .5 * vl - w * ent
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss.item(), policy_loss=pg.item(), value_loss=vl.item(), entropy=ent.item())
            if u % 10 == 9:
                rec.log({"mean_reward": R.sum(0).mean().item()}, step=u + 1)
    with torch.no_grad():
        fin = torch.stack([rollout(net, g)[2].sum(0).mean() for _ in range(5)]).mean()
        rnd = torch.stack([rollout(Agent(), g)[2].sum(0).mean() for _ in range(5)]).mean()
    facts(score=fin, trivial=rnd, value=vl)


if __name__ == "__main__":
    main()
