/** Prometheus and promtool, as Debian has them. */
import { installMissing } from '../servers/machine.ts'

const NEEDED = [
  { command: 'promtool', args: ['--version'], debian: 'prometheus' },
  { command: 'prometheus', args: ['--version'], debian: 'prometheus' },
] as const

export async function setup(): Promise<void> {
  await installMissing('the tests of monitoring', NEEDED, (line) => process.stdout.write(`${line}\n`))
}
