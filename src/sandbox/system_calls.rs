//! Seccomp filters: the system calls that a child may not make. They fail with ENOSYS, as on a kernel that does
//! not have them, which programs are prepared for.
//!
//! A filter names what is forbidden, not what is permitted: other versions of ffmpeg, Python and the C library
//! need other calls. Landlock forbids the rest.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use crate::sys;

/// What no program needs that reads media or pages.
const FORBIDDEN: [c_long; 37] = [
    // The memory and the descriptors of other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces and mounts. clone3(2) passes its flags in memory; the C library then uses clone(2).
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_clone3,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Large parts of the kernel; io_uring also does what a filter forbids.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Memory that stays when the process ends.
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// Every socket.
const SOCKETS: [c_long; 2] = [libc::SYS_socket, libc::SYS_socketpair];
/// Leaving the process group, which is killed with the download or the reading of the page.
const LEAVING: [c_long; 2] = [libc::SYS_setsid, libc::SYS_setpgid];

/// Sending that can connect (TCP Fast Open), past the rules of Landlock, with the argument that has its flags.
const SENDING: [(c_long, u8); 3] =
    [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)];

/// Signals. Where Landlock does not restrict them to the child's own processes, ffmpeg may send none.
const SIGNALS: [c_long; 6] = [
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];
/// The version of Landlock that restricts signals (Linux 6.12).
const SCOPED_SIGNALS: u32 = 6;

/// Calls that change a process, with the argument that names it: only 0, the caller, is permitted.
const ON_PROCESSES: [(c_long, u8); 7] = [
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
];

/// Flags of clone(2) that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// System calls of the x32 interface of x86-64 begin here; no other architecture has so many.
const FIRST_X32: u32 = 0x4000_0000;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Returns the filter of a program that needs no network. Empty if the kernel or the architecture has none.
pub(super) fn without_sockets() -> &'static [sock_filter] {
    static FILTER: OnceLock<BpfProgram> = OnceLock::new();
    FILTER.get_or_init(|| {
        let mut rules = common_rules();
        rules.extend(SOCKETS.into_iter().chain(LEAVING).map(|call| (call, Vec::new())));
        if sys::landlock_version().is_none_or(|version| version < SCOPED_SIGNALS) {
            rules.extend(SIGNALS.map(|call| (call, Vec::new())));
        }
        compiled(rules)
    })
}

/// Returns the filter of a program whose only network is TCP. Empty if the kernel or the architecture has none.
pub(super) fn with_tcp() -> &'static [sock_filter] {
    static FILTER: OnceLock<BpfProgram> = OnceLock::new();
    FILTER.get_or_init(|| {
        let mut rules = tcp_rules();
        rules.extend(LEAVING.map(|call| (call, Vec::new())));
        compiled(rules)
    })
}

/// Returns the same filter, but for a program that puts its children into groups of their own.
pub(super) fn with_tcp_and_groups() -> &'static [sock_filter] {
    static FILTER: OnceLock<BpfProgram> = OnceLock::new();
    FILTER.get_or_init(|| compiled(tcp_rules()))
}

/// Returns the filter that such a child needs beyond that: the instructions as the kernel reads them.
pub(super) fn of_group() -> Vec<u8> {
    let program = compiled(LEAVING.map(|call| (call, Vec::new())).into());
    let bytes = |line: &sock_filter| {
        let [k0, k1, k2, k3] = line.k.to_ne_bytes();
        let [code0, code1] = line.code.to_ne_bytes();
        [code0, code1, line.jt, line.jf, k0, k1, k2, k3]
    };
    program.iter().flat_map(bytes).collect()
}

fn tcp_rules() -> Rules {
    let mut rules = common_rules();
    rules.extend(beyond_tcp());
    rules
}

fn common_rules() -> Rules {
    let mut rules: Rules = FORBIDDEN.map(|call| (call, Vec::new())).into();
    for (call, argument) in ON_PROCESSES {
        rules.insert(call, rule([condition(argument, SeccompCmpOp::Ne, 0)]).collect());
    }
    let has = |flag: libc::c_int| u64::from(flag.cast_unsigned());
    let makes_namespace = |flag| rule([condition(0, SeccompCmpOp::MaskedEq(has(flag)), has(flag))]);
    rules.insert(libc::SYS_clone, NAMESPACES.into_iter().flat_map(makes_namespace).collect());
    rules
}

/// Returns rules that match every use of the network but TCP connections by connect(2), which Landlock restricts to
/// some ports.
fn beyond_tcp() -> Rules {
    let fast_open = u64::from(libc::MSG_FASTOPEN.cast_unsigned());
    let connects = |argument| {
        rule([condition(argument, SeccompCmpOp::MaskedEq(fast_open), fast_open)]).collect()
    };
    let mut rules: Rules = SENDING.map(|(call, argument)| (call, connects(argument))).into();
    rules.insert(libc::SYS_socket, sockets_other_than_tcp());
    // Without bind(2), it takes any port.
    rules.insert(libc::SYS_listen, Vec::new());
    rules
}

/// Returns rules that match each socket(2) but one of TCP. Landlock does not restrict the others: UDP, Unix
/// sockets with a path, and MPTCP, which is a protocol of its own.
fn sockets_other_than_tcp() -> Vec<SeccompRule> {
    const TYPE_MASK: u64 = 0xf;
    let differs =
        |argument, values: [libc::c_int; 2]| {
            rule(values.map(|value| {
                condition(argument, SeccompCmpOp::Ne, u64::from(value.cast_unsigned()))
            }))
        };
    let stream = u64::from(libc::SOCK_STREAM.cast_unsigned());
    let other_types = (0..=TYPE_MASK).filter(|kind| *kind != stream);
    differs(0, [libc::AF_INET, libc::AF_INET6])
        .chain(differs(2, [0, libc::IPPROTO_TCP]))
        .chain(
            other_types
                .flat_map(|kind| rule([condition(1, SeccompCmpOp::MaskedEq(TYPE_MASK), kind)])),
        )
        .collect()
}

/// Compares an argument, of which the kernel reads 32 bits.
fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Option<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).ok()
}

/// Returns a rule that matches if all conditions do.
fn rule<const N: usize>(
    conditions: [Option<SeccompCondition>; N],
) -> impl Iterator<Item = SeccompRule> {
    SeccompRule::new(conditions.into_iter().flatten().collect()).into_iter()
}

fn compiled(rules: Rules) -> BpfProgram {
    let refusal = libc::ENOSYS.cast_unsigned();
    let program = sys::has_seccomp().then(|| {
        let architecture = std::env::consts::ARCH.try_into()?;
        let action = SeccompAction::Errno(refusal);
        SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)?.try_into()
    });
    match program {
        Some(Ok::<BpfProgram, seccompiler::BackendError>(program)) => {
            [&without_x32(refusal)[..], &program].concat()
        }
        Some(Err(error)) => {
            log::debug!("no seccomp filter: {error}");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Returns instructions that refuse the calls of x32, which are the same under other numbers.
fn without_x32(refusal: u32) -> [sock_filter; 3] {
    let instruction = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    [
        // The number of the call is the first field of what a filter sees.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, FIRST_X32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | refusal),
    ]
}
