/**
 * What a node leaves on a machine: containers outlive containerd and the kubelet by design, and their mounts and rules outlive
 * them. Removed when the cluster stops, and before one starts, for the run before may have been killed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeBridge } from './network.ts'
import { CGROUP, cgroupHierarchies } from './worker.ts'

/** @param directory of the cluster; every mount below it goes. */
export async function removeLeftBehind(directory: string): Promise<void> {
  for (let round = 0; round < 50; round += 1) {
    const pids = [...containerPids(), ...shimPids(directory)]
    if (pids.length === 0) break
    for (const pid of pids) kill(pid)
    await sleep(100)
  }
  unmountBelow(directory)
  for (const hierarchy of cgroupHierarchies()) removeCgroup(join(hierarchy, CGROUP))
  closeBridge()
  removeRules()
}

function containerPids(): readonly number[] {
  return processes().filter((pid) => readOf(pid, 'cgroup').includes(`/${CGROUP}`))
}

function shimPids(directory: string): readonly number[] {
  return processes().filter((pid) => {
    const commandLine = readOf(pid, 'cmdline')
    return commandLine.includes('containerd-shim') && commandLine.includes(directory)
  })
}

function processes(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid)
}

function readOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone by itself.
  }
}

/** The innermost first. */
function unmountBelow(directory: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replaceAll('\\040', ' '))
    .filter((path) => path.startsWith(`${directory}/`))
    .sort((a, b) => b.length - a.length)
  for (const path of mounts) execFileSync('umount', ['--lazy', path], { stdio: 'ignore' })
}

function removeCgroup(path: string): void {
  if (!existsSync(path)) return
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name))
  try {
    rmdirSync(path)
  } catch {
    // Something is still leaving it; the next start finds it empty.
  }
}

/** kube-proxy's and kube-router's: chains of names that nobody else uses. */
function removeRules(): void {
  for (const table of ['filter', 'nat', 'mangle']) {
    const saved = tryOutput('iptables-save', ['-t', table])
    const kept = saved.split('\n').filter((line) => !/KUBE-/.test(line))
    if (kept.length !== saved.split('\n').length) execFileSync('iptables-restore', { input: `${kept.join('\n')}\n` })
  }
  const sets = tryOutput('ipset', ['list', '-name']).split('\n')
  for (const name of sets.filter((set) => /^(?:KUBE-|inet6:KUBE-|kube-router-)/.test(set)))
    tryOutput('ipset', ['destroy', name])
}

function tryOutput(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
