-- Mails of the auth service between the commit that causes them and the mail server that takes them. A row goes when its mail
-- has left. What a mail says signs people in: nobody but the service reads this, and `postgres`, who is a member of its role and
-- reads the users' tokens as well.

create table if not exists _monobase.mail_outbox (
  id uuid primary key,
  created_at timestamptz not null default now(),
  user_id uuid not null,
  -- The name of the template.
  kind text not null,
  -- {"to", "subject", "html", "headers"}
  letter jsonb not null,
  attempts integer not null default 0,
  -- Until then it belongs to whoever tries to send it, or waits for its next try.
  due_at timestamptz not null,
  -- When its code is worth nothing any more.
  expires_at timestamptz not null
);

create index if not exists mail_outbox_due_at_idx on _monobase.mail_outbox (due_at);
create index if not exists mail_outbox_user_id_idx on _monobase.mail_outbox (user_id);

alter table _monobase.mail_outbox owner to supabase_admin;
revoke all on _monobase.mail_outbox from public;
grant usage on schema _monobase to supabase_auth_admin;
grant select, insert, update, delete on _monobase.mail_outbox to supabase_auth_admin;
