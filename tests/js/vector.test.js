// A vector column with an HNSW index answers nearest-neighbour queries, for a client and in SQL.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startBackend } from './lib/backend.js'

let backend

before(async () => {
  backend = await startBackend()
  await backend.sql(`
    create extension if not exists vector with schema extensions;
    create table public.items (id int primary key, embedding extensions.vector(3));
    insert into public.items select i, array[i, i * i % 7, 1]::real[]::extensions.vector from generate_series(1, 500) i;
    create index on public.items using hnsw (embedding extensions.vector_l2_ops);
    alter table public.items enable row level security;
    create policy "all may read" on public.items for select using (true);
    create function public.nearest(query extensions.vector(3), amount int) returns setof public.items
      language sql stable set search_path = public, extensions
      as 'select * from public.items order by embedding <-> query limit amount';
  `)
  await backend.served('items')
})

after(() => backend?.stop())

test('the extension lives in schema extensions', async () => {
  const { rows } = await backend.sql(
    `select extnamespace::regnamespace::text as schema from pg_extension where extname = 'vector'`,
  )
  assert.deepEqual(rows, [{ schema: 'extensions' }])
})

test('the nearest neighbour of a row is the row itself, through the index', async () => {
  const { rows } = await backend.sql(
    `select id from items order by embedding <-> (select embedding from items where id = 42) limit 1`,
  )
  assert.deepEqual(rows, [{ id: 42 }])
  // Few rows are cheaper to read one after another, so the planner is told not to.
  const [, , plan] = await backend.sql(
    `begin; set local enable_seqscan = off;
     explain select id from items order by embedding <-> '[42,0,1]'::vector limit 1; rollback`,
  )
  assert.match(plan.rows.map((row) => row['QUERY PLAN']).join('\n'), /items_embedding_idx/)
})

test('a client inserts and reads vectors', async () => {
  const service = backend.client(backend.env.SERVICE_ROLE_KEY)
  const inserted = await service.from('items').insert({ id: 1000, embedding: '[1000,1,1]' }).select('id,embedding')
  assert.deepEqual(inserted.data, [{ id: 1000, embedding: '[1000,1,1]' }])
})
