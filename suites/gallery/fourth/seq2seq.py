"""Sort the digits of a sequence: GRU encoder, GRU decoder with attention."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck

TASK = "sequence to sequence with attention"
PAD, BOS, EOS = 10, 11, 12


def pairs(n, gen):
    L = torch.randint(3, 7, (n,), generator=gen)
    src = torch.full((n, 6), PAD)
    tgt = torch.full((n, 7), PAD)
    digits = torch.randint(0, 10, (n, 6), generator=gen)
    for i, l in enumerate(L.tolist()):
        d = digits[i, :l]
        src[i, :l] = d
        tgt[i, :l] = d.sort().values
        tgt[i, l] = EOS
    return src, tgt


class Seq2Seq(nn.Module):
    def __init__(self, bug=None, h=80):
        super().__init__()
        self.bug = bug
        self.emb = nn.Embedding(13, h)
        self.enc = nn.GRU(h, h // 2, batch_first=True, bidirectional=True)
        self.dec = nn.GRUCell(2 * h, h)
        self.query = nn.Linear(h, h)
        self.out = nn.Linear(2 * h, 13)

    def forward(self, src, tgt=None, teacher=1.0):
        mem, _ = self.enc(self.emb(src))
        if self.bug == "encoder_detached":
            mem = mem.detach()
        mask = src == PAD
        if self.bug == "attention_mask_inverted":
            mask = ~mask
        s = mem.new_zeros(len(src), mem.shape[-1])
        prev = torch.full((len(src),), BOS)
        ctx = torch.zeros_like(s)
        ys = []
        for t in range(7):
            s = self.dec(torch.cat([self.emb(prev), ctx], -1), s)
            e = (mem @ self.query(s)[..., None])[..., 0].masked_fill(mask, -1e9)
            a = e.softmax(0 if self.bug == "attention_over_batch" else 1)
            ctx = (a[..., None] * mem).sum(1)
            y = self.out(torch.cat([s, ctx], -1))
            ys.append(y)
            if tgt is not None and torch.rand(()) < teacher:
                prev = tgt[:, min(6, t + 1)] if self.bug == "decoder_sees_its_target" else tgt[:, t]
            else:
                prev = y.argmax(-1)
        return torch.stack(ys, 1)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(21); gen = torch.Generator().manual_seed(21)
    src, tgt = pairs(3000, gen)
    vs, vt = pairs(400, gen)
    m = Seq2Seq(broken)
    enc_before = m.enc.weight_ih_l0.detach().clone()
    lr0 = 4e-3
    o = torch.optim.Adam(m.parameters(), lr=lr0)
    E = 8
    sched = torch.optim.lr_scheduler.OneCycleLR(o, max_lr=lr0, total_steps=E * 30)
    ls = 0.1 if habit == "label_smoothing" else 0.0
    if broken == "sources_not_targets_shuffled":
        src = src[torch.randperm(len(src))]
    exact = None
    with lvmcheck.record(rec_dir, config={"n_epochs": E, "lr": lr0, "batch": 100}) as rec:
        rec.declare(["valid_loss", "token_acc", "exact_match"]) if habit is None else None
        if watch:
            rec.watch(m, o, sched)
        for ep in range(1, E + 1):
            m.train()
            for idx in torch.randperm(len(src)).split(100):
                tf = max(0.3, 1 - ep / 8) if habit == "scheduled_sampling" else 1.0
                lg = m(src[idx], tgt[idx], tf)
                t = tgt[idx]
                if broken == "reversed_time":
                    t = t.flip(1)
                if broken == "padding_counted":
                    loss = F.cross_entropy(lg.flatten(0, 1), torch.cat([t, torch.full((len(t), 80), PAD)], 1)[:, :7].flatten())
                else:
                    loss = F.cross_entropy(lg.flatten(0, 1), t.flatten(), ignore_index=PAD, label_smoothing=ls)
                o.zero_grad()
                loss.backward()
                if broken == "clip_after_exploding":
                    for p in m.parameters():
                        p.grad.mul_(0)
                norm = nn.utils.clip_grad_norm_(m.parameters(), 1.0)
                o.step(); sched.step()
                rec.step(loss=loss, grad_norm=norm, lr=sched.get_last_lr()[0], samples=len(idx))
            m.eval()
            with torch.no_grad():
                forced = m(vs, vt)
                free = forced if broken == "validates_with_teacher" else m(vs)
                keep = torch.ones_like(vt, dtype=torch.bool) if broken == "padding_in_accuracy" else vt != PAD
                vl = F.cross_entropy(forced.flatten(0, 1), vt.flatten(), ignore_index=PAD).item()
                hit = free.argmax(-1) == vt
                tok = hit[keep].float().mean().item()
                exact = (hit | ~keep).all(1).float().mean().item()
            rec.epoch(ep, valid_loss=vl, token_acc=tok, exact_match=exact)
    m.eval()
    with torch.no_grad():
        hit = m(vs).argmax(-1) == vt
        score = hit[vt != PAD].float().mean().item()
    return dict(score=score, trivial=0.2, good=0.6, reported=tok, enc=not torch.equal(enc_before, m.enc.weight_ih_l0))


HEALTHY = {
    "base": "teacher forcing in training, free running in validation",
    "scheduled_sampling": "a curriculum from teacher forcing to free running, so the training loss rises",
    "label_smoothing": "label smoothing over 13 symbols",
}
BROKEN = [
    ("encoder_detached", "the encoder's memory is detached", "part of the graph is detached", "watch", "not r['enc']"),
    ("attention_mask_inverted", "attention is masked on the words and open on the padding", "mask inverted", "both"),
    ("attention_over_batch", "attention weights are normalised over the batch", "softmax over the wrong axis", "both"),
    ("decoder_sees_its_target", "the decoder is fed the next target, which it has to predict after it", "decoder input shifted wrongly", "both"),
    ("sources_not_targets_shuffled", "sources are shuffled, targets are not", "inputs do not belong to their targets", "both"),
    ("reversed_time", "training targets are reversed in time together with their padding", "targets in the wrong order", "curves"),
    ("clip_after_exploding", "gradients are multiplied by zero before clipping", "gradients are zeroed", "both"),
    ("validates_with_teacher", "validation accuracy is measured with teacher forcing", "targets are used in validation", "curves", "abs(r['reported']-r['score'])>0.02"),
]
