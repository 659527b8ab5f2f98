/** Finds kubectl: what KEYHOLE_KUBECTL says, else the one on the PATH, else one that is built as for a cluster of our own. */
import { spawnSync } from 'node:child_process'
import { buildGoSet } from '../servers/build.ts'
import { GO_SETS, nodePrograms } from '../servers/programs.ts'

export async function setup(): Promise<void> {
  const isThere = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).status === 0
  if (process.env['KEYHOLE_KUBECTL'] !== undefined || isThere) return
  await buildGoSet('node', GO_SETS.node, (line) => void process.stdout.write(`manifests: ${line}\n`))
  process.env['KEYHOLE_KUBECTL'] = nodePrograms().kubectl
}
