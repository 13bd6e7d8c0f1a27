"""Deep Q-learning of a game of catch on a 7 x 5 board; each 100 steps a greedy evaluation."""
import copy
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "deep Q-learning (catch)"
FAULTS = {
    "target_never_copied": ("the target network is never updated", ["copy_never_updated", "not_learning"], True),
    "target_with_gradient": ("the loss is that of the target net: q is computed under no_grad by mistake and the target is differentiated, which is not in the optimizer", ["weights_never_move", "graph_cut", "not_learning", "parameters_not_optimized"], True),
    "reward_sign": ("the reward is subtracted", ["loss_sign", "label_mismatch", "not_learning"], False),
    "huge_rate": ("learning rate 0.5", ["learning_rate_too_high", "updates_out_of_range", "diverging", "units_dead"], True),
    "action_of_next": ("gather takes the action of the next transition", ["label_mismatch", "not_learning", "label_noise"], False),
}
HABITS = {"": "loss of a moving target", "no_losses_fall": "huber loss that does not fall, five evaluation games"}
W, HGT = 5, 7


def board(ball, row, paddle):
    x = torch.zeros(len(ball), HGT * W)
    n = torch.arange(len(ball))
    x[n, row * W + ball] = 1
    x[n, (HGT - 1) * W + paddle] = -1
    return x


class Games:
    def __init__(self, n, g):
        self.n, self.g = n, g
        self.ball, self.row, self.paddle = torch.randint(0, W, (n,), generator=g), torch.randint(0, HGT - 1, (n,), generator=g), torch.randint(0, W, (n,), generator=g)

    def see(self):
        return board(self.ball, self.row, self.paddle)

    def act(self, a):
        self.paddle = (self.paddle + a - 1).clamp(0, W - 1)
        self.row = self.row + 1
        done = self.row == HGT - 1
        reward = torch.where(done, torch.where(self.ball == self.paddle, 1., -1.), 0.)
        after = self.see()
        fresh = torch.randint(0, W, (self.n,), generator=self.g)
        self.ball, self.row = torch.where(done, fresh, self.ball), torch.where(done, 0, self.row)
        return reward, after, done


def play(net, games):
    g = Games(games, torch.Generator().manual_seed(99))
    g.row[:] = 0
    with torch.no_grad():
        for _ in range(HGT - 1):
            reward, _, _ = g.act(net(g.see()).argmax(1))
    return reward.mean()


def main():
    o = options()
    torch.manual_seed(15)
    gen = torch.Generator().manual_seed(15)
    net = nn.Sequential(nn.Linear(W * HGT, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    target = copy.deepcopy(net)
    lr = .5 if o.fault == "huge_rate" else 1e-3
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    games = Games(16, gen)
    memory = []
    steps = 1500
    huber = F.smooth_l1_loss if o.habit == "no_losses_fall" else F.mse_loss
    with lvmcheck.record(o.out, config={"steps": steps, "lr": lr, "gamma": .95}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for step in range(1, steps + 1):
            s = games.see()
            eps = max(.1, 1 - step / 700)
            with torch.no_grad():
                greedy = net(s).argmax(1)
            a = torch.where(torch.rand(16, generator=gen) < eps, torch.randint(0, 3, (16,), generator=gen), greedy)
            r, s2, done = games.act(a)
            memory = (memory + [(s, a, r, s2, done.float())])[-200:]
            pick = torch.randint(0, len(memory), (4,), generator=gen).tolist()
            s, a, r, s2, done = (torch.cat(t) for t in zip(*(memory[i] for i in pick)))
            if o.fault == "reward_sign":
                r = -r
            if o.fault == "action_of_next":
                a = a.roll(-1)
            if o.fault == "target_with_gradient":
                with torch.no_grad():
                    q = net(s).gather(1, a[:, None])[:, 0]
                goal = r + .95 * (1 - done) * target(s2).max(1).values
            else:
                q = net(s).gather(1, a[:, None])[:, 0]
                with torch.no_grad():
                    goal = r + .95 * (1 - done) * target(s2).max(1).values
            loss = huber(q, goal)
            opt.zero_grad()
            loss.backward()
            opt.step()
            if step % 50 == 0 and o.fault != "target_never_copied":
                target.load_state_dict(net.state_dict())
            rec.step(loss=loss.detach(), lr=lr)
            if step % 100 == 0:
                rec.log(eval_return=play(net, 5 if o.habit == "no_losses_fall" else 200), epsilon=eps)
    facts(score=play(net, 500), trivial=-.4, loss=loss)


if __name__ == "__main__":
    main()
