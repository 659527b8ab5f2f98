/** Batches. One bad item fails the status, while the answer still carries the plaintexts of the good ones. */
import type { Case } from '../case.ts'
import { data, errors, HELLO, HERE, post, withKeys } from './vault-words.ts'

export const transitBatchCases: readonly Case[] = [
  withKeys(
    'a batch keeps its order and echoes its references',
    data({
      batch_results: [
        { plaintext: HELLO, reference: '' },
        { plaintext: HELLO, reference: 'second' },
      ],
    }),
    async ({ derived, root, encrypt }) => {
      const item = { ciphertext: await encrypt(derived, HERE), context: HERE }
      return post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [item, { ...item, reference: 'second' }] })
    },
  ),
  withKeys(
    'a batch with one bad item is a 400 that holds the plaintext of the good one',
    {
      status: 400,
      json: {
        errors: undefined,
        data: {
          batch_results: [
            { plaintext: HELLO, error: undefined, reference: '' },
            { plaintext: '', error: 'invalid ciphertext length', reference: 'bad' },
          ],
        },
      },
    },
    async ({ derived, root, encrypt }) => {
      const good = { ciphertext: await encrypt(derived, HERE), context: HERE }
      const bad = { ciphertext: 'vault:v1:AAAA', context: HERE, reference: 'bad' }
      return post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [good, bad] })
    },
  ),
  withKeys(
    'a batch of one bad item is a 400 too',
    { status: 400, json: { data: { batch_results: [{ plaintext: '', error: 'invalid ciphertext: no prefix' }] } } },
    async ({ derived, root }) =>
      post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [{ ciphertext: 'x', context: HERE }] }),
  ),
  withKeys(
    'a batch says of each item that its context is missing',
    {
      status: 400,
      json: { data: { batch_results: [{ plaintext: '', error: /^missing 'context' for key derivation; / }] } },
    },
    async ({ derived, root }) =>
      post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [{ ciphertext: 'vault:v1:AAAA' }] }),
  ),
  withKeys(
    'a batch with a bad context fails that item',
    {
      status: 400,
      json: { data: { batch_results: [{ plaintext: '', error: 'illegal base64 data at input byte 0' }] } },
    },
    async ({ derived, root }) =>
      post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [{ ciphertext: 'vault:v1:AAAA', context: '!' }] }),
  ),
  withKeys(
    'a batch may ask for another status on partial failure',
    {
      status: 202,
      json: { data: { batch_results: [{ plaintext: HELLO }, { plaintext: '', error: 'invalid ciphertext length' }] } },
    },
    async ({ derived, root, encrypt }) => {
      const good = { ciphertext: await encrypt(derived, HERE), context: HERE }
      const bad = { ciphertext: 'vault:v1:AAAA', context: HERE }
      return post(`/v1/transit/decrypt/${derived}`, root, {
        partial_failure_response_code: 202,
        batch_input: [good, bad],
      })
    },
  ),
  withKeys(
    'a batch must have a context in all items or in none',
    errors(400, 'context should be set either in all the request blocks or in none'),
    async ({ derived, root }) =>
      post(`/v1/transit/decrypt/${derived}`, root, {
        batch_input: [{ ciphertext: 'vault:v1:AAAA', context: HERE }, { ciphertext: 'vault:v1:AAAA' }],
      }),
  ),
  withKeys('an empty batch is refused', errors(400, 'missing batch input to process'), async ({ derived, root }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [] }),
  ),
  withKeys(
    'a batch under a missing key is refused as a whole',
    errors(400, 'encryption key not found'),
    async ({ plain, root }) =>
      post(`/v1/transit/decrypt/${plain}-none`, root, { batch_input: [{ ciphertext: 'vault:v1:AAAA' }] }),
  ),
  withKeys(
    'a batch item without a ciphertext is an internal error',
    errors(
      500,
      "1 error occurred:\n\t* failed to parse batch input: 1 error(s) decoding:\n\n* '[0].ciphertext' missing ciphertext to decrypt\n\n",
    ),
    async ({ derived, root }) => post(`/v1/transit/decrypt/${derived}`, root, { batch_input: [{ context: HERE }] }),
  ),
  withKeys(
    'a batch that is no array is an internal error',
    errors(
      500,
      '1 error occurred:\n\t* failed to parse batch input: source data must be an array or slice, got string\n\n',
    ),
    async ({ derived, root }) => post(`/v1/transit/decrypt/${derived}`, root, { batch_input: 'x' }),
  ),
  withKeys(
    'a batch item that is no object is an internal error',
    errors(500, "1 error occurred:\n\t* failed to parse batch input: [0] expected a map, got 'string'\n\n"),
    async ({ derived, root }) => post(`/v1/transit/decrypt/${derived}`, root, { batch_input: ['x'] }),
  ),
  withKeys(
    'a batch of plaintexts is encrypted in order',
    data({
      batch_results: [
        { ciphertext: /^vault:v1:/, key_version: 1, reference: 'first' },
        { ciphertext: /^vault:v1:/, key_version: 1, reference: '' },
      ],
    }),
    async ({ derived, root }) =>
      post(`/v1/transit/encrypt/${derived}`, root, {
        batch_input: [
          { plaintext: HELLO, context: HERE, reference: 'first' },
          { plaintext: HELLO, context: HERE },
        ],
      }),
  ),
  withKeys(
    'a batch of plaintexts points at the byte that is no base64',
    {
      status: 400,
      json: {
        data: {
          batch_results: [
            ...[0, 3, 0, 4, 1, 4, 0, 2, 1, 4].map((at) => ({ error: `illegal base64 data at input byte ${at}` })),
            { ciphertext: /^vault:v1:/ },
            { ciphertext: /^vault:v1:/ },
          ],
        },
      },
    },
    async ({ plain, root }) =>
      post(`/v1/transit/encrypt/${plain}`, root, {
        batch_input: [
          'YQ',
          'YQ=',
          'Y',
          'YQ==x',
          'Y===',
          'YWJj=',
          '====',
          'YQ=a',
          'a!bc',
          'YWJjZ',
          'YWJjZA==\n',
          'YW\nJj',
        ].map((plaintext) => ({ plaintext })),
      }),
  ),
]
