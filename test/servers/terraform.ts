/**
 * A root of Terraform's as a platform has one: deploy/vault/terraform as its only module, its state in a directory of its own.
 * OpenTofu runs it, with a stand-in for the provider hashicorp/vault; `KEYHOLE_TERRAFORM` and `KEYHOLE_VAULT_PROVIDER` name the
 * programs that take their places.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import type { Programs } from './programs.ts'
import type { Connection } from './start.ts'

export const MODULE = join(import.meta.dirname, '../../deploy/vault/terraform')

/** The variables of the module. */
export type Inputs = Readonly<Record<string, unknown>>

/** Something that is there already, and its address within the module. */
export interface Import {
  readonly to: string
  readonly id: string
}

export interface Terraform extends Disposable {
  /** What the root calls the module with, from now on, and what it takes over; undefined: it calls none. */
  call(inputs: Inputs | undefined, imports?: readonly Import[]): void
  /** Whatever it says about, ended well or not. */
  run(command: string, ...args: readonly string[]): Promise<Ran>
  /** Of every resource that a plan from nothing would make: what it is to be, by its address within the module. */
  planned(inputs: Inputs): Promise<Planned>
}

export interface Ran {
  readonly status: number
  /** What it complains of, each summary and detail on one line. */
  readonly errors: readonly string[]
  readonly stdout: string
}

export interface Planned {
  readonly resources: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly outputs: Readonly<Record<string, unknown>>
}

const TIMEOUT_MS = 100_000
/** Within what versions.tf asks for. */
const PROVIDER_VERSION = '5.0.0'
const REGISTRIES = ['registry.opentofu.org', 'registry.terraform.io'] as const

export async function startTerraform({ caFile, vault }: Connection, programs: Programs): Promise<Terraform> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'keyhole-terraform-')))
  const command = process.env['KEYHOLE_TERRAFORM'] ?? programs.tofu
  const settings = Object.entries(process.env).filter(([name]) => !/^(?:TF|TOFU|VAULT)_/.test(name))
  const env = {
    ...Object.fromEntries(settings),
    CHECKPOINT_DISABLE: '1',
    TF_IN_AUTOMATION: '1',
    TF_CLI_CONFIG_FILE: mirrorOf(process.env['KEYHOLE_VAULT_PROVIDER'] ?? programs.vaultProvider, directory),
    VAULT_ADDR: vault.origin,
    VAULT_CACERT: caFile,
    VAULT_TOKEN: vault.rootToken,
  }
  const execute = promisify(execFile)

  async function run(...args: readonly string[]): Promise<Ran> {
    const options = { cwd: directory, env, timeout: TIMEOUT_MS, maxBuffer: 64 << 20 }
    const ended = execute(command, args, options).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      (thrown: { code?: number | string; stdout: string; stderr: string }) => thrown,
    )
    const { code, stdout, stderr } = await ended
    if (typeof code !== 'number') throw new Error(`${command} ${args.join(' ')} did not end by itself: ${stderr}`)
    return { status: code, errors: errorsIn(stdout, stderr), stdout }
  }

  function call(inputs: Inputs | undefined, imports: readonly Import[] = []): void {
    const root = {
      provider: { vault: {} },
      import: imports.map(({ to, id }) => ({ to: `module.keyhole.${to}`, id })),
      ...(inputs && {
        module: { keyhole: { source: relative(directory, MODULE), ...inputs } },
        output: {
          settings: { value: `\${module.keyhole.settings}` },
          policies: { value: `\${module.keyhole.policies}` },
        },
      }),
    }
    writeFileSync(join(directory, 'main.tf.json'), JSON.stringify(root), { mode: 0o600 })
  }

  async function planned(inputs: Inputs): Promise<Planned> {
    call(inputs)
    const { errors } = await run('plan', '-json', '-out=planned')
    if (errors.length > 0) throw new Error(errors.join('\n'))
    const { planned_values: values } = JSON.parse((await run('show', '-json', 'planned')).stdout) as PlannedValues
    const { resources } = values.root_module.child_modules[0]
    return {
      resources: Object.fromEntries(
        resources.map((each) => [each.address.replace('module.keyhole.', ''), each.values]),
      ),
      outputs: Object.fromEntries(Object.entries(values.outputs).map(([name, { value }]) => [name, value])),
    }
  }

  function dispose(): void {
    rmSync(directory, { recursive: true, force: true })
  }

  call({ keys: { any: {} } })
  const { status, errors } = await run('init', '-input=false', '-no-color')
  if (status === 0) return { call, run, planned, [Symbol.dispose]: dispose }
  dispose()
  throw new Error(errors.join('\n'))
}

interface PlannedValues {
  readonly planned_values: {
    readonly root_module: {
      readonly child_modules: readonly [
        {
          readonly resources: readonly {
            readonly address: string
            readonly values: Readonly<Record<string, unknown>>
          }[]
        },
      ]
    }
    readonly outputs: Readonly<Record<string, { readonly value: unknown }>>
  }
}

/** The settings of a command line that takes this provider, and asks no registry for another. */
function mirrorOf(provider: string, directory: string): string {
  const mirror = join(directory, 'mirror')
  const [file, platform] = [
    `terraform-provider-vault_v${PROVIDER_VERSION}`,
    `${process.platform}_${ARCHITECTURES[process.arch]}`,
  ]
  for (const registry of REGISTRIES) {
    const there = join(mirror, registry, 'hashicorp/vault', PROVIDER_VERSION, platform, file)
    mkdirSync(dirname(there), { recursive: true })
    symlinkSync(provider, there)
  }
  const settings = join(directory, 'settings.tfrc')
  writeFileSync(settings, `provider_installation {\n  filesystem_mirror { path = ${JSON.stringify(mirror)} }\n}\n`)
  return settings
}

/** As Go calls what Node calls otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

interface Said {
  readonly diagnostic?: { readonly severity: string; readonly summary: string; readonly detail?: string }
}

/** With `-json` each line says one thing; without, stderr is all that there is. */
function errorsIn(stdout: string, stderr: string): readonly string[] {
  const said = stdout.split('\n').filter((line) => line.startsWith('{"'))
  const told = said.flatMap((line) => {
    const { diagnostic } = JSON.parse(line) as Said
    if (diagnostic?.severity !== 'error') return []
    return `${diagnostic.summary}: ${diagnostic.detail ?? ''}`.replaceAll(/\s+/g, ' ').trim()
  })
  return told.length > 0 || stderr === '' ? told : [stderr]
}
