//! Upkeep and insight.

use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::model::ItemKind;
use storage_core::report::MigrateOptions;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::async_trait;

use crate::checks;
use crate::convert::admin;
use crate::convert::erasing;
use crate::convert::failed;
use crate::convert::integrity;
use crate::convert::item;
use crate::jobs::Jobs;
use crate::progress;
use crate::proto;
use crate::proto::admin_service_server::AdminService;
use crate::proto::tier_policy_request::Change;
use crate::tenant;

/// `storage.v1.AdminService`.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    engine: Engine,
    jobs: Jobs,
}

impl Admin {
    /// The service on `engine`.
    pub(crate) fn new(engine: Engine, jobs: Jobs) -> Self {
        Self { engine, jobs }
    }

    fn migrate_stream(
        &self,
        options: MigrateOptions,
    ) -> Result<BoxStream<'static, Result<proto::MigrateProgress, Status>>, Status> {
        let permit = match self.jobs.try_migration() {
            Some(permit) => Some(permit),
            // A plan writes nothing, so it may be made while a migration runs.
            None if options.dry_run => None,
            None => {
                return Err(Status::failed_precondition(
                    "A migration is running; wait until Jobs says that it is done.",
                ));
            }
        };
        Ok(progress::migrate(&self.engine, &self.jobs, options, permit))
    }

    async fn train(&self, tenant: Option<String>) -> Result<proto::DictionariesResponse, Status> {
        let tenants = match tenant {
            Some(tenant) => vec![tenant],
            None => {
                self.engine.tenants().await.map_err(failed("tenants"))?.into_iter().map(|t| t.name).collect()
            }
        };
        let mut trained = Vec::new();
        for tenant in tenants {
            trained.extend(self.engine.train_dictionary(&tenant).await.map_err(failed("train"))?);
        }
        Ok(admin::wire_dictionaries(trained))
    }
}

fn not_yet(operation: &str) -> Status {
    Status::unimplemented(format!("{operation} is not available in this version."))
}

#[async_trait]
impl AdminService for Admin {
    async fn stats(
        &self,
        request: Request<proto::StatsRequest>,
    ) -> Result<Response<proto::StatsResponse>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let by = admin::stats_by(&request.get_ref().by)?;
        let stats = self.engine.stats(tenant.as_deref()).await.map_err(failed("stats"))?;
        let rows = match by {
            Some(by) => self.engine.stats_by(tenant.as_deref(), by).await.map_err(failed("stats"))?,
            None => Vec::new(),
        };
        Ok(Response::new(admin::wire_stats(stats, rows)))
    }

    async fn tenants(
        &self,
        request: Request<proto::TenantsRequest>,
    ) -> Result<Response<proto::TenantsResponse>, Status> {
        let create = request.into_inner().create;
        if !create.is_empty() {
            if !tenant::is_name(&create) {
                return Err(tenant::malformed());
            }
            let _created = self.engine.create_tenant(&create).await.map_err(failed("create tenant"))?;
        }
        let tenants = self.engine.tenants().await.map_err(failed("tenants"))?;
        let tenants = tenants.into_iter().map(admin::wire_tenant).collect();
        Ok(Response::new(proto::TenantsResponse { tenants }))
    }

    async fn tier_policy(
        &self,
        request: Request<proto::TierPolicyRequest>,
    ) -> Result<Response<proto::TierPolicyResponse>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let change = match request.into_inner().change {
            Some(Change::Set(policy)) => Some(Some(admin::policy(&policy)?)),
            Some(Change::Clear(true)) => Some(None),
            Some(Change::Clear(false)) | None => None,
        };
        if let Some(policy) = change {
            let tenant = tenant.as_deref().ok_or_else(|| {
                Status::invalid_argument("Name the tenant in `tenant-id`; the store's own policy is set in the server's configuration.")
            })?;
            self.engine.set_policy(tenant, policy).await.map_err(failed("set policy"))?;
        }
        let policy = self.engine.policy(tenant.as_deref()).await.map_err(failed("policy"))?;
        Ok(Response::new(proto::TierPolicyResponse { policy: Some(admin::wire_policy(&policy)) }))
    }

    type MigrateStream = BoxStream<'static, Result<proto::MigrateProgress, Status>>;

    async fn migrate(
        &self,
        request: Request<proto::MigrateRequest>,
    ) -> Result<Response<Self::MigrateStream>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let options = admin::migrate_options(tenant, request.get_ref())?;
        self.migrate_stream(options).map(Response::new)
    }

    async fn train_dictionary(
        &self,
        request: Request<proto::TrainDictionaryRequest>,
    ) -> Result<Response<proto::DictionariesResponse>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        self.train(tenant).await.map(Response::new)
    }

    async fn list_dictionaries(
        &self,
        request: Request<proto::ListDictionariesRequest>,
    ) -> Result<Response<proto::DictionariesResponse>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let listed = failed("dictionaries");
        let mut dictionaries = self.engine.dictionaries(tenant.as_deref()).await.map_err(&listed)?;
        dictionaries.extend(self.engine.built_in_dictionary(tenant.as_deref()).await.map_err(&listed)?);
        Ok(Response::new(admin::wire_dictionaries(dictionaries)))
    }

    async fn sweep(
        &self,
        request: Request<proto::SweepRequest>,
    ) -> Result<Response<proto::SweepResponse>, Status> {
        let options = admin::sweep_options(request.into_inner())?;
        let report = self.engine.sweep(options).await.map_err(failed("sweep"))?;
        Ok(Response::new(admin::wire_sweep(&report)))
    }

    type CompactStream = BoxStream<'static, Result<proto::CompactProgress, Status>>;

    async fn compact(
        &self,
        request: Request<proto::CompactRequest>,
    ) -> Result<Response<Self::CompactStream>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let options = admin::compact_options(tenant, request.into_inner())?;
        Ok(Response::new(progress::compact(&self.engine, &self.jobs, options)))
    }

    type ScrubStream = BoxStream<'static, Result<proto::ScrubProgress, Status>>;

    async fn scrub(
        &self,
        request: Request<proto::ScrubRequest>,
    ) -> Result<Response<Self::ScrubStream>, Status> {
        let options = integrity::scrub_options(*request.get_ref())?;
        Ok(Response::new(checks::scrub(&self.engine, &self.jobs, options)))
    }

    type RepairStream = BoxStream<'static, Result<proto::RepairProgress, Status>>;

    async fn repair(
        &self,
        request: Request<proto::RepairRequest>,
    ) -> Result<Response<Self::RepairStream>, Status> {
        let options = integrity::repair_options(*request.get_ref());
        Ok(Response::new(checks::repair(&self.engine, &self.jobs, options)))
    }

    type EraseStream = BoxStream<'static, Result<proto::EraseProgress, Status>>;

    async fn erase(
        &self,
        request: Request<proto::EraseRequest>,
    ) -> Result<Response<Self::EraseStream>, Status> {
        let tenant = tenant::optional(request.metadata())?;
        let options = erasing::erase_options(tenant, request.into_inner())?;
        Ok(Response::new(progress::erase(&self.engine, &self.jobs, options)))
    }

    type BackupStream = BoxStream<'static, Result<proto::BackupProgress, Status>>;

    async fn backup(&self, _: Request<proto::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        Err(not_yet("Backup"))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        let id = item::item_id(request.id)?;
        let kind = if request.content { ItemKind::Content } else { ItemKind::Message };
        let explanation = self.engine.explain(&tenant, kind, &id).await.map_err(failed("explain"))?;
        Ok(Response::new(admin::wire_explanation(explanation)))
    }

    async fn jobs(&self, _: Request<proto::JobsRequest>) -> Result<Response<proto::JobsResponse>, Status> {
        let jobs = self.engine.jobs().await.map_err(failed("jobs"))?;
        Ok(Response::new(admin::wire_jobs(jobs)))
    }

    async fn reopen(
        &self,
        _: Request<proto::ReopenRequest>,
    ) -> Result<Response<proto::ReopenResponse>, Status> {
        let done = self.engine.reopen().await.map_err(failed("reopen"))?;
        Ok(Response::new(proto::ReopenResponse {
            packs: done.packs,
            frames: done.frames,
            torn_bytes: done.torn_bytes,
            deleted: done.deleted,
            missing: done.missing,
        }))
    }
}
