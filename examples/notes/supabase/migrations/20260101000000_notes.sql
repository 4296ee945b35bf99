-- A name for everybody who signs up, kept by the database itself.
create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  name text not null
);

create function public.make_profile() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.profiles (id, name) values (new.id, split_part(new.email, '@', 1));
  return new;
end
$$;

create trigger make_profile after insert on auth.users
  for each row execute function public.make_profile();

create table public.notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid() references public.profiles (id) on delete cascade,
  body text not null check (body <> ''),
  shared boolean not null default false,
  created_at timestamptz not null default now()
);
create index on public.notes (owner);

alter table public.profiles enable row level security;
alter table public.notes enable row level security;

create policy "everybody signed in sees names" on public.profiles
  for select to authenticated using (true);

create policy "own notes" on public.notes
  to authenticated
  using (owner = (select auth.uid()))
  with check (owner = (select auth.uid()));

create policy "shared notes" on public.notes
  for select to authenticated using (shared);
