//! `tenant`: creates and lists tenants.

use clap::Subcommand;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::store::unexpected;
use crate::wire::rfc3339;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant.
    Create {
        /// Its name: 1 to 128 of a-z, A-Z, 0-9, '.', '_' and '-'.
        name: String,
    },
    /// List all tenants.
    #[command(visible_alias = "list")]
    Ls,
}

#[derive(Debug, Serialize)]
struct Tenant {
    name: String,
    id: String,
    created: Option<String>,
    own_policy: bool,
}

impl From<proto::Tenant> for Tenant {
    fn from(tenant: proto::Tenant) -> Self {
        Self {
            name: tenant.name,
            id: tenant.id,
            created: tenant.created.as_ref().map(rfc3339),
            own_policy: tenant.own_policy,
        }
    }
}

/// Creates or lists.
pub async fn run(command: &TenantCommand, context: &mut Context) -> Result<()> {
    let create = match command {
        TenantCommand::Create { name } => name.clone(),
        TenantCommand::Ls => String::new(),
    };
    let request = proto::TenantsRequest { create };
    let answer = context.store.all().admin.tenants(request).await?.into_inner();
    let mut tenants = answer.tenants.into_iter().map(Tenant::from);
    match command {
        TenantCommand::Create { name } => {
            let tenant = tenants.find(|tenant| tenant.name == *name).ok_or_else(unexpected)?;
            context.output.document(&tenant)?;
            context.output.say(&format!("The tenant {name} exists now: {}.", tenant.id))
        }
        TenantCommand::Ls => {
            let tenants: Vec<Tenant> = tenants.collect();
            for tenant in &tenants {
                context.output.entry(tenant)?;
            }
            let rows = tenants.into_iter().map(|tenant| {
                let policy = if tenant.own_policy { "its own" } else { "the store's" };
                vec![tenant.name, tenant.id, tenant.created.unwrap_or_default(), policy.to_owned()]
            });
            context.output.table(&["tenant", "id", "created", "policy"], rows)
        }
    }
}
