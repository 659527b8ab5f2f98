/** Images on the node: handed over as files, since there is no registry. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { socketOf } from './worker.ts'

/** What holds a pod's network while its containers come and go. */
export const PAUSE_IMAGE = 'localhost/pause:1'

export function importImage(directory: string, archiveFile: string): void {
  ctr(directory, 'images', 'import', archiveFile)
}

/** One program that waits, and ends when it is told to. */
export function importPause(directory: string): void {
  const scratch = mkdtempSync(join(tmpdir(), 'keyhole-pause-'))
  const archive = join(scratch, 'pause.tar')
  const storage = ['--root', join(scratch, 'root'), '--runroot', join(scratch, 'run'), '--storage-driver', 'vfs']
  const buildah = (...args: readonly string[]) =>
    execFileSync('buildah', [...storage, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  try {
    const container = buildah('from', 'scratch')
    buildah('copy', container, programOf('busybox'), '/busybox')
    const wait = 'trap "exit 0" TERM INT; while :; do /busybox sleep 3600 & wait; done'
    buildah('config', '--entrypoint', JSON.stringify(['/busybox', 'sh', '-c', wait]), container)
    buildah('commit', container, PAUSE_IMAGE)
    buildah('push', PAUSE_IMAGE, `oci-archive:${archive}:${PAUSE_IMAGE}`)
    importImage(directory, archive)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Of the namespace in which the kubelet's images and containers are. */
export function ctr(directory: string, ...args: readonly string[]): string {
  const at = ['--address', socketOf(directory), '--namespace', 'k8s.io']
  return execFileSync('ctr', [...at, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function programOf(name: string): string {
  return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
}
