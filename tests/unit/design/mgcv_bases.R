# Writes mgcv_bases.json: fits with given smoothing parameters. Run in this folder:
# Rscript mgcv_bases.R   (R 4.2.2, mgcv 1.8-41, jsonlite)
suppressMessages({library(mgcv); library(jsonlite)})
read <- function(n) read.csv(file.path("../../references/data", paste0(n, ".csv")))
mc <- read("mcycle"); di <- read("diabetes")
di$g <- factor(ifelse(di$age > 0, "a", "b"))
data(columb); data(columb.polys)
nb <- mgcv:::pol2nb(columb.polys)$nb   # indices into names
regions <- names(columb.polys); nbl <- lapply(nb, function(i) regions[i]); names(nbl) <- regions
tables <- list(mcycle = mc, diabetes = di, columb = columb)
one <- function(call, data, formula, response, beyond = NULL) {
  d <- tables[[data]]; m <- eval(parse(text = call))
  rows <- d[1:8, , drop = FALSE]
  out <- list(call = call, formula = formula, response = response, data = data, sp = unname(m$full.sp),
              edf = unname(sapply(m$smooth, function(s) sum(m$edf[s$first.para:s$last.para]))),
              rank = I(unname(unlist(lapply(m$smooth, function(s) s$rank)))),
              coefficients = length(coef(m)),
              terms = unname(as.matrix(predict(m, rows, type = "terms"))),
              linear_predictor = unname(as.numeric(predict(m, rows))))
  if (is.null(out$sp)) out$sp <- unname(m$sp)
  if (!is.null(beyond)) { out$beyond <- as.list(beyond); out$beyond_linear_predictor <- unname(as.numeric(predict(m, beyond))) }
  out
}
t9 <- data.frame(times = c(-20, 2, 2.4, 57.6, 60, 100))
b9 <- data.frame(bmi = c(-.3, -.05, .3, .1), s5 = c(0, .2, -.2, .1), bp = c(.01, .3, 0, .02))
fits <- list(
  one('gam(accel~s(times,bs="cr",k=20),data=d,sp=0.1)', "mcycle", "s(times, bs='cr', k=20)", "accel", t9),
  one('gam(accel~s(times,bs="cr",k=3),data=d,sp=0.1)', "mcycle", "s(times, bs='cr', k=3)", "accel", t9),
  one('gam(accel~s(times,bs="tp",k=20),data=d,sp=0.001)', "mcycle", "s(times, bs='tp', k=20)", "accel", t9),
  one('gam(accel~s(times),data=d,sp=0.1)', "mcycle", "s(times, bs='tp')", "accel", t9),
  one('gam(accel~s(times,bs="cc",k=12),data=d,sp=0.3)', "mcycle", "s(times, bs='cc', k=12)", "accel", t9),
  one('gam(accel~s(times,bs="cc",k=4),data=d,sp=0.3)', "mcycle", "s(times, bs='cc', k=4)", "accel", t9),
  one('gam(target~s(bmi,s5),data=d,sp=0.01)', "diabetes", "s(bmi, s5, bs='tp')", "target", b9),
  one('gam(target~s(bmi,s5,bp,k=40),data=d,sp=0.01)', "diabetes", "s(bmi, s5, bp, bs='tp', k=40)", "target", b9),
  one('gam(target~s(bmi,by=g,bs="tp",k=8)+g,data=d,sp=c(.2,3))', "diabetes", "g + s(bmi, by=g, bs='tp', k=8)", "target"),
  one('gam(target~s(bmi,by=bp,bs="cr",k=8),data=d,sp=.7)', "diabetes", "s(bmi, by=bp, bs='cr', k=8)", "target"),
  one('gam(target~te(bmi,s5,bs="cr",k=5,np=FALSE),data=d,sp=c(2,3))', "diabetes", "te(bmi, s5, bs='cr')", "target", b9),
  one('gam(target~te(bmi,s5,k=5),data=d,sp=c(2,3))', "diabetes", "te(bmi, s5, bs='cr', np=True)", "target", b9),
  one('gam(target~te(bmi,s5,bs="ps",k=5),data=d,sp=c(2,3))', "diabetes", "te(bmi, s5, np=True)", "target", b9),
  one('gam(target~te(bmi,s5,bs=c("tp","cr"),k=c(6,4)),data=d,sp=c(2,3))', "diabetes", "te(bmi, s5, bs=('tp', 'cr'), k=(6, 4), np=True)", "target", b9),
  one('gam(target~te(bmi,s5,bs=c("tp","cc"),k=c(6,5),np=FALSE),data=d,sp=c(2,3))', "diabetes", "te(bmi, s5, bs=('tp', 'cc'), k=(6, 5))", "target"),
  one('gam(target~te(bmi,s5,bp,bs=c("ps","cr","tp"),k=c(5,4,3)),data=d,sp=c(2,3,5))', "diabetes", "te(bmi, s5, bp, bs=('ps', 'cr', 'tp'), k=(5, 4, 3), np=True)", "target", b9),
  one('gam(target~ti(bmi,s5,bs="ps",k=5),data=d,sp=c(2,3))', "diabetes", "ti(bmi, s5, np=True)", "target", b9),
  one('gam(target~ti(bmi,s5,bs=c("cr","tp"),k=c(4,6)),data=d,sp=c(2,3))', "diabetes", "ti(bmi, s5, bs=('cr', 'tp'), k=(4, 6), np=True)", "target", b9),
  one('gam(target~ti(bmi,s5,bs="cc",k=5),data=d,sp=c(2,3))', "diabetes", "ti(bmi, s5, bs='cc')", "target"),
  one('gam(target~ti(bmi,s5,bp,bs="cr",k=4,np=FALSE),data=d,sp=c(2,3,5))', "diabetes", "ti(bmi, s5, bp, bs='cr', k=4)", "target", b9)
)
columb <- rbind(columb, transform(columb, crime = crime + income / 3)); tables$columb <- columb
half <- columb[columb$district %in% regions[c(1:30, 35:49)], ]
tables$half <- half
mrf <- list(
  one('gam(crime~s(district,bs="mrf",xt=list(nb=nbl))+income,data=d,sp=.4)', "columb", "income + district", "crime"),
  one('gam(crime~s(district,bs="mrf",xt=list(nb=nbl)),data=d,sp=.4,drop.unused.levels=FALSE,knots=list(district=factor(regions)))', "half", "district", "crime"))
write_json(list(versions = list(R = R.version.string, mgcv = as.character(packageVersion("mgcv"))),
  fits = fits, mrf = mrf, neighbours = lapply(nbl, as.character),
  columb = list(district = as.character(columb$district), income = columb$income, crime = columb$crime)),
  "mgcv_bases.json", digits = 14, auto_unbox = TRUE)
