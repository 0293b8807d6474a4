# Writes cox_diagnostics.json: residuals, tests of proportional hazards, curves and their
# limits as R's survival gives them for the tables in data/.
# Run in this folder: Rscript make_cox_diagnostics.R   (R 4.2.2, survival 3.5.3, jsonlite)
suppressMessages({library(survival); library(jsonlite)})
table <- function(name) read.csv(file.path("data", paste0(name, ".csv")), stringsAsFactors = TRUE)
rows <- function(x, k = 9) { x <- as.matrix(x); unname(x[seq(1, nrow(x), by = k), , drop = FALSE]) }
kinds <- c("martingale", "deviance", "score", "schoenfeld", "scaledsch", "dfbeta", "dfbetas")
transforms <- c("km", "rank", "identity", "log")

h <- table("heart"); h$w <- rep(c(1, 2, 0.5), length.out = nrow(h))
diagnose <- function(ties) {
  m <- coxph(Surv(start, stop, event) ~ age + year + transplant + strata(surgery), data = h,
             weights = w, ties = ties, robust = FALSE)
  r <- coxph(Surv(start, stop, event) ~ age + year + transplant + strata(surgery), data = h,
             weights = w, ties = ties, cluster = seq_along(w))
  c <- coxph(Surv(start, stop, event) ~ age + year + transplant + strata(surgery), data = h,
             weights = w, ties = ties, cluster = id)
  new <- data.frame(age = c(-10, 5), year = c(1, 4), transplant = c(0, 1), surgery = c(0, 1))
  s <- lapply(c("log-log", "log", "plain"), function(k) {
    lapply(1:2, function(i) { f <- survfit(m, newdata = new[i, ], conf.type = k)
      at <- seq(2, length(f$time), by = 5)
      list(time = f$time[at], surv = c(f$surv)[at], error = c(f$std.chaz)[at], lower = c(f$lower)[at], upper = c(f$upper)[at]) }) })
  list(ties = ties, residuals = setNames(lapply(kinds, function(k) rows(residuals(m, k))), kinds),
       zph = setNames(lapply(transforms, function(k) unname(cox.zph(m, transform = k)$table)), transforms),
       robust = unname(r$var), cluster = unname(c$var), band = setNames(s, c("log-log", "log", "plain")))
}
curves <- function(f) { at <- seq(1, length(f$time), by = 4)
  list(time = f$time[at], risk = f$n.risk[at], surv = f$surv[at], error = (f$surv * f$std.err)[at],
       lower = f$lower[at], upper = f$upper[at], chaz = f$cumhaz[at], chaz_error = f$std.chaz[at]) }
v <- table("veteran"); v$w <- rep(c(1, 2, 0.5), length.out = nrow(v))
km <- list(
  plain = curves(survfit(Surv(time, status) ~ 1, v, conf.type = "log-log")),
  log = curves(survfit(Surv(time, status) ~ 1, v, conf.type = "log")),
  linear = curves(survfit(Surv(time, status) ~ 1, v, conf.type = "plain")),
  weights = curves(survfit(Surv(time, status) ~ 1, v, weights = w, conf.type = "log-log", robust = FALSE)),
  entry = curves(survfit(Surv(start, stop, event) ~ 1, h, conf.type = "log-log")))
g <- survfit(Surv(time, status) ~ celltype, v, conf.type = "log-log")
q <- quantile(g, c(0.25, 0.5, 0.75))
summaries <- list(groups = levels(v$celltype), quantile = unname(q$quantile), lower = unname(q$lower),
                  upper = unname(q$upper), rmean = unname(summary(g, rmean = 300)$table[, "rmean"]))
b <- table("pbc"); b$state <- factor(b$status, 0:2, c("censored", "transplant", "death"))
a <- survfit(Surv(time, state) ~ 1, b); at <- seq(1, length(a$time), by = 25)
aj <- list(time = a$time[at], transplant = a$pstate[at, 2], death = a$pstate[at, 3],
           error_transplant = a$std.err[at, 2], error_death = a$std.err[at, 3])
test <- function(d) list(chisq = d$chisq, observed = c(if (is.matrix(d$obs)) rowSums(d$obs) else d$obs),
                         expected = c(if (is.matrix(d$exp)) rowSums(d$exp) else d$exp))
lr <- list(plain = test(survdiff(Surv(time, status) ~ celltype, v)),
           peto = test(survdiff(Surv(time, status) ~ celltype, v, rho = 1)),
           strata = test(survdiff(Surv(time, status) ~ trt + strata(celltype), v)))
write_json(list(versions = list(R = R.version.string, survival = as.character(packageVersion("survival"))),
                heart = list(diagnose("efron"), diagnose("breslow")),
                km = km, summaries = summaries, aalen_johansen = aj, log_rank = lr),
           "cox_diagnostics.json", digits = 12, auto_unbox = TRUE, na = "null")
