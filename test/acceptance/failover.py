"""Fail-over: the time from a fault of the leader until the last surviving member's process has been told of the
next leader. One cluster for all rounds of a cause; only the victim is restarted."""
import random
import signal
import time

from beams import learnt, told_since
from rig.etf import Atom

HEARTBEAT = 0.050
RETRANSMITTED_S = 1.2


class Cause:
    """`fault(cluster, leader)` gives the moment of the fault, `heal(cluster, leader)` takes it back. Limits in ms."""

    def __init__(self, name, text, fault, heal, p50=None, p99=None):
        self.name, self.text, self.fault, self.heal = name, text, fault, heal
        self.p50, self.p99 = p50, p99


def restart(cluster, victim):
    victim.reap()
    cluster.start([victim])


def kill_both(cluster, leader):
    return leader.kill(cluster.pids[leader])


def kill_beam(_cluster, leader):
    return leader.kill()


def pull_cable(cluster, leader):
    return cluster.wires.down(leader.host)[0]


def plug_in(cluster, victim):
    cluster.wires.up(victim.host)
    # Until then TCP may hold back what others sent to this host, and the next fault would be a second one.
    time.sleep(RETRANSMITTED_S)


def call(leader, module, function, *args):
    """Calls, and gives the moment at which the call began."""
    since = leader.mark()
    leader.send_call("acceptance_node", "timed", Atom(module), Atom(function), list(args))
    assert leader.wait(lambda: any(e == "called" for _, e in leader.events[since:]), 10), "no call"
    return next(at for at, e in leader.events[since:] if e == "called")


def stop_process(_cluster, leader):
    return call(leader, "acceptance_node", "end_member")


def restart_process(_cluster, victim):
    victim.call("acceptance_node", "end_member")
    victim.call("supervisor", "restart_child", Atom("acceptance_sup"), Atom("member"))


def stop_application(_cluster, leader):
    return call(leader, "application", "stop", Atom("muster"))


def restart_application(cluster, victim):
    victim.call("application", "stop", Atom("acceptance"))
    victim.call("application", "ensure_all_started", Atom("acceptance"))
    cluster.pids[victim] = victim.c_node()


def stop_init(_cluster, leader):
    return call(leader, "init", "stop")


def freeze(_cluster, leader):
    return leader.signal(signal.SIGSTOP)


def thaw(_cluster, victim):
    victim.signal(signal.SIGCONT)


CAUSES = {cause.name: cause for cause in (
    Cause("killed", "BEAM and C node killed (SIGKILL)", kill_both, restart, 60, 400),
    Cause("beam-killed", "BEAM killed, its C node leaves by itself", kill_beam, restart, 60, 400),
    Cause("silent", "host silent (its link is down)", pull_cable, plug_in, 300, 700),
    Cause("process", "the member's process stops", stop_process, restart_process, None, 30),
    Cause("application", "application:stop(muster)", stop_application, restart_application, None, 30),
    Cause("init", "init:stop()", stop_init, restart, None, 30),
    Cause("frozen", "BEAM stopped (SIGSTOP), its C node lives", freeze, thaw, None, 1000),
)}


def measure(cluster, cause, rounds, look_at=None):
    """The times of all rounds in ms; what happened in those that took longer than `look_at` is shown."""
    times = []
    for _ in range(rounds):
        leader = cluster.settled()
        time.sleep(random.uniform(0, 2 * HEARTBEAT))  # at any instant between two heartbeats
        survivors = [b for b in cluster.beams if b is not leader]
        marks = {b: b.mark() for b in survivors}
        moment = cause.fault(cluster, leader)
        last = learnt(survivors, marks, leader.node, 10)
        assert last is not None, f"no new leader after {cause.name}: {told_since(cluster.beams, moment)}"
        times.append((last - moment) * 1000)
        if look_at is not None and times[-1] > look_at:
            print(f"     {cause.name}, round {len(times)}, {leader.alive}: {times[-1]:.1f} ms"
                  f"{told_since(cluster.beams, moment)}", flush=True)
        cause.heal(cluster, leader)
    return times
