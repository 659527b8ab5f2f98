/** What is wrong with a policy, for those who write it: never shown to callers. */
import type { Position } from './yaml.ts'

export interface PolicyProblem {
  /** `error`: something is not taken as written. `warning`: it is, but will not do what its author expects. */
  readonly level: 'error' | 'warning'
  /** Relative to the policy directory. */
  readonly file: string
  /** From 1, as is `column`, which counts UTF-16 code units. */
  readonly line: number
  readonly column: number
  /** Such as `SecretGrant payments/db`, if it could be told. */
  readonly document?: string
  /** One or more sentences of ours. Quotes names from the policy, bounded and made printable. */
  readonly message: string
}

/** One line: `payments.yaml:3:5: error: SecretGrant payments/db: ...`. */
export function formatProblem({ level, file, line, column, document, message }: PolicyProblem): string {
  return `${file}:${line}:${column}: ${level}: ${document === undefined ? '' : `${document}: `}${message}`
}

export function problemAt(
  file: string,
  { line, column }: Position,
  message: string,
  {
    level = 'error',
    document,
  }: { readonly level?: PolicyProblem['level']; readonly document?: string | undefined } = {},
): PolicyProblem {
  return { level, file, line, column, ...(document !== undefined && { document }), message }
}

/** In the order of reading. */
export function inOrder(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  return problems.toSorted(
    (a, b) => Number(a.file > b.file) - Number(a.file < b.file) || a.line - b.line || a.column - b.column,
  )
}
