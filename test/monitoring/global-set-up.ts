/** Prometheus and promtool, as Debian has them, and Grafana's model of dashboards. */
import { buildGoSet } from '../servers/build.ts'
import { installMissing } from '../servers/machine.ts'
import { GO_SETS } from '../servers/programs.ts'

const NEEDED = [
  { command: 'promtool', args: ['--version'], debian: 'prometheus' },
  { command: 'prometheus', args: ['--version'], debian: 'prometheus' },
] as const

export async function setup(): Promise<void> {
  await installMissing('the tests of monitoring', NEEDED, say)
  await buildGoSet("Grafana's model", GO_SETS.grafanaModel, say)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
